"""The figures at a URL: in the format of Prometheus, and for whoever has the token."""

import sys
from dataclasses import replace
from typing import cast

import pytest
from asgiref.sync import sync_to_async
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from a2a_app import conf, database, figures
from a2a_app.figures.current import COUNTED
from a2a_app.figures.prometheus import write_figures
from a2a_app.protocol import TaskState
from a2a_app.store.writes.append import append
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.outages import away, lose_patience
from tests.tasks import begin, begin_and_claim, status

URL = "/a2a/metrics.txt"
TOKEN = "a-token-for-prometheus"  # as a project would set it
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.fixture(autouse=True)
def token(a2a: ChangeSettings) -> None:
    a2a(METRICS_TOKEN=TOKEN)


def samples_of(response: HttpResponseBase) -> dict[str, float]:
    """Return the values in a response, by metrics with their labels."""
    text = cast("HttpResponse", response).content.decode()
    return {
        " ".join([each.name, *(f"{key}={value}" for key, value in each.labels.items())]): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def work() -> None:
    """Store a turn that waits, one that runs, a task that failed and one that waits for input."""
    begin()
    begin_and_claim("two")
    for state in (TaskState.FAILED, TaskState.INPUT_REQUIRED):
        claim = begin_and_claim("one")
        append(claim.head, [status(state)], run=claim.run)


async def test_the_figures_are_those_of_the_database(rpc: JsonRpcClient) -> None:
    await database.run(work)
    response = await rpc.http.get(URL, headers=KNOWN)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "no-store" in response["Cache-Control"]
    found = samples_of(response)
    expected = await database.read(figures.read)
    assert found["a2a_turns state=queued"] == 1
    assert found["a2a_turns state=running"] == expected.running > 0
    assert found["a2a_busy_workers"] == len(expected.workers)
    assert found["a2a_waiting_tasks for=input"] == 1
    assert found["a2a_failed_tasks_today"] == 1
    assert found["a2a_failed_tasks_last_hour"] == 1
    assert found["a2a_agent_ended_tasks agent=load"] == 1
    assert found["a2a_agent_task_seconds agent=load quantile=0.95"] >= 0
    assert found["a2a_level"] == 0
    assert (await rpc.http.head(URL, headers=KNOWN)).status_code == 200


@pytest.mark.django_db
def test_no_figure_that_counts_rows_is_above_what_is_counted() -> None:
    more = COUNTED + 1
    found = replace(
        figures.read(),
        running=more,
        queued=more,
        lost=more,
        waiting_for_input=more,
        waiting_for_auth=more,
        failed_today=more,
        webhooks_failing=more,
        webhooks_given_up=more,
    )
    text, media_type = write_figures(found, "")
    shown = samples_of(HttpResponse(text, content_type=media_type))
    assert max(v for name, v in shown.items() if not name.endswith("timestamp_seconds")) == COUNTED


async def test_a_scraper_that_knows_open_metrics_gets_them(rpc: JsonRpcClient) -> None:
    response = await rpc.http.get(URL, headers={**KNOWN, "Accept": OPEN_METRICS})
    assert response["Content-Type"].startswith("application/openmetrics-text")
    assert response.content.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "shown", ["", TOKEN, "Bearer", f"Bearer {TOKEN}x", "Bearer \u00fc", f"Basic {TOKEN}"]
)
async def test_whoever_has_not_the_token_gets_nothing(rpc: JsonRpcClient, shown: str) -> None:
    response = await rpc.http.get(URL, headers={"Authorization": shown})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="metrics"'
    assert b"a2a_" not in response.content


async def test_without_a_token_in_the_settings_nobody_gets_anything(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(METRICS_TOKEN="")
    for headers in (KNOWN, {"Authorization": "Bearer "}):
        response = await rpc.http.get(URL, headers=headers)
        assert response.status_code == 404
        assert b"METRICS_TOKEN" in response.content


@pytest.mark.usefixtures("reconnecting")
async def test_while_the_database_cannot_be_read_the_answer_is_503(rpc: JsonRpcClient) -> None:
    await database.run(lose_patience)
    with away():
        response = await rpc.http.get(URL, headers=KNOWN)
    # Nothing keeps readers from SQLite's file.
    assert response.status_code == (503 if connection.vendor == "postgresql" else 200)


def test_a_token_without_the_package_is_found_by_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("a2a_app.figures.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "a2a_app.figures.prometheus", None)
    [finding] = [each for each in checks.run_checks(tags=["a2a"]) if each.id == "a2a.E001"]
    assert "pip install 'django-agent2agent[prometheus]'" in finding.msg


@pytest.mark.parametrize("token", ["short", "with spaces in between"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(
    settings: Settings, token: str
) -> None:
    settings.A2A = {"METRICS_TOKEN": token}
    with pytest.raises(ImproperlyConfigured, match="METRICS_TOKEN"):
        conf.current()


async def test_a_server_that_speaks_wsgi_answers_too(runtime: None) -> None:
    def ask() -> HttpResponse:
        try:
            return cast("HttpResponse", Client().get(URL, headers=KNOWN))
        finally:
            connections.close_all()

    response = await sync_to_async(ask)()
    assert response.status_code == 200
    assert samples_of(response)["a2a_level"] == 0
