"""`manage.py a2a_doctor`: what it says of a site that is well, and of one that is not."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from a2a_app import models
from a2a_app.management.doctor import streams
from tests.bindings.users import TOKEN
from tests.servers import ROOT, Process, fresh_database, web_server
from tests.tasks import begin

SECONDS = 20
# Settings of a project whose one database is not the default.
ROUTED = """
from project.settings import *

DATABASES = {"default": {}, "site": DATABASES["default"]}
DATABASE_ROUTERS = ["routed.Router"]


class Router:
    def db_for_read(self, model, **hints):
        return "site"

    db_for_write = db_for_read
"""
# Work for so long that whoever collects the events is seen, and a busy machine is not taken for it.
WORK = json.dumps({"chunks": 10, "delay": 0.2})


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    with fresh_database("sqlite") as database_url:
        made = web_server(
            "daphne",
            database_url=database_url,
            ANONYMOUS="refuse",
            AUTHENTICATION=["tests.bindings.users.ByBearer"],
        )
        made.start()
        yield made
        made.kill()


def doctor(*options: str) -> dict[str, tuple[str, str]]:
    """Return what is found of each subject, its level and the text; the worst one counts."""
    out = StringIO()
    failed = False
    try:
        call_command("a2a_doctor", *options, "--json", stdout=out)
    except CommandError:
        failed = True
    found = json.loads(out.getvalue())
    levels = ["good", "note", "warning", "fault"]
    assert failed is any(each["level"] == "fault" for each in found)
    found.sort(key=lambda each: levels.index(each["level"]))
    return {each["subject"]: (each["level"], each["text"]) for each in found}


def outside(url: str, *options: str) -> dict[str, tuple[str, str]]:
    return doctor(url, "--agent", "load", "--outside", *options)


@contextmanager
def before(server: Process, change: Any) -> Iterator[str]:
    """Stand before a server as a proxy that has all of an answer before it sends any."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = dict(self.headers)
            url = server.url + self.path
            answer = httpx.request(
                self.command, url, headers=headers, content=body, timeout=SECONDS
            )
            status, given, content = change(answer)
            self.send_response(status)
            for name, value in given.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()
            thread.join()


def passed_on(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    return answer.status_code, {"Content-Type": answer.headers["Content-Type"]}, answer.content


def test_a_site_that_is_well_is_said_to_be(
    server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = outside(server.url, "--key", TOKEN, "--send", WORK)
    assert {subject: level for subject, (level, _) in found.items()} == {
        "TLS": "note", "card": "good", "signature": "note", "endpoint": "good",
        "strangers": "good", "key": "good", "stream": "good",
    }  # fmt: skip  # as one table
    assert "as they were made" in found["stream"][1]
    monkeypatch.setattr(streams, "LEAST_SECONDS", 60)
    assert "too soon" in outside(server.url, "--key", TOKEN, "--send", "{}")["stream"][1]


def test_a_key_that_is_refused_is_found(server: Process) -> None:
    found = outside(server.url, "--key", "wrong", "--send", WORK)
    assert found["key"][0] == found["stream"][0] == "fault"


def test_a_proxy_that_collects_events_and_removes_headers_is_found(server: Process) -> None:
    # The card has the URL of the proxy, as its Host says.
    with before(server, passed_on) as url:
        found = outside(url, "--key", TOKEN, "--send", WORK)
    assert found["stream"] == (
        "fault",
        f"The events were made over {found['stream'][1].split()[5]} s and came together: a proxy "
        "collects them. Switch its buffering off for text/event-stream.",
    )
    assert found["strangers"][0] == "fault"
    assert "WWW-Authenticate" in found["strangers"][1]


@pytest.mark.parametrize(
    ("change", "subject", "said"),
    [
        (lambda answer: (404, {}, b""), "card", "answers 404"),
        (lambda answer: (200, {}, b"<html>"), "card", "is no valid card"),
        (lambda answer: (200, {}, b'{"name": "x"}'), "card", "is no valid card"),
        (
            lambda answer: (200, {}, answer.content.replace(b"http://127", b"http://128")),
            "URLs",
            "another host",
        ),
    ],
)
def test_a_card_that_is_none_or_leads_elsewhere_is_found(
    server: Process, change: Any, subject: str, said: str
) -> None:
    with before(server, change) as url:
        level, text = outside(url)[subject]
    assert level in ("fault", "warning") and said in text


def test_a_site_that_is_not_there_is_a_fault_and_text_goes_to_people() -> None:
    out = StringIO()
    with pytest.raises(CommandError, match=r"Faults: 1\."):
        call_command("a2a_doctor", "http://127.0.0.1:9", "--outside", stdout=out)
    assert "NO  card: http://127.0.0.1:9/.well-known/agent-card.json cannot be" in out.getvalue()
    with pytest.raises(CommandError, match="Name the site"):
        call_command("a2a_doctor", "--outside")


@pytest.mark.django_db
def test_the_project_is_looked_at_from_inside(settings: Any) -> None:
    found = doctor()
    assert found["database"][0] == "good"
    assert found["workers"] == ("note", "No turn waits, and none is at work.")
    assert found["channel layer"][0] == "warning"
    assert "joins no two processes" in found["channel layer"][1]
    assert "settings" in found
    begin()
    models.Run.objects.update(created_at=timezone.now() - timedelta(hours=1))
    settings.CHANNEL_LAYERS = {}
    found = doctor()
    assert found["workers"][0] == found["channel layer"][0] == "fault"
    settings.A2A = {**settings.A2A, "RUNNER": "celery"}
    models.Run.objects.update(lease_until=None)
    # Those of Celery are not started by a command of ours.
    assert doctor()["workers"] == ("fault", "No worker of the runner 'celery' lives: start one.")


def test_the_database_that_has_the_tables_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "routed.py").write_text(ROUTED)
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "routed",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
    }
    with fresh_database("sqlite") as url:
        done = subprocess.run(
            [sys.executable, "-m", "django", "a2a_doctor", "--json"],
            env={**env, "DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    assert done.stdout, done.stderr
    found = {each["subject"]: each["level"] for each in json.loads(done.stdout)}
    assert (found["database"], found["workers"]) == ("good", "note")
