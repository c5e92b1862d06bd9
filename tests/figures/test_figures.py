"""Figures: they count what is there, in bounds, and the command says how it is."""

import itertools
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from a2a_app import figures, models
from a2a_app.database.values import new_key
from a2a_app.figures import current, history
from a2a_app.models.owners import queue_of
from a2a_app.protocol import TaskState
from a2a_app.store.writes.append import append
from tests.tasks import begin, begin_and_claim, status

pytestmark = pytest.mark.django_db


def end(state: TaskState, text: str = "") -> None:
    """Store a task that has ended."""
    claim = begin_and_claim(text=text or "work")
    append(claim.head, [status(state)], run=claim.run)


def add_webhook(**values: Any) -> None:
    models.PushNotificationConfig.objects.create(
        task_id=begin_and_claim().head.task_id,
        config_id=str(new_key()),
        url="https://example.com",
        host="example.com",
        queue=queue_of("", "example.com"),
        delivered=0,
        announced=1,
        **values,
    )


def told(*options: str) -> tuple[int, str]:
    """Call the command, and return its exit code and what it prints."""
    out = StringIO()
    try:
        call_command("a2a_status", *options, stdout=out)
    except SystemExit as ending:
        return int(str(ending.code)), out.getvalue()
    return 0, out.getvalue()


def test_figures_count_what_runs_waits_and_fails_by_ten_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    waiting = begin().head.task_id
    begin_and_claim("two")
    lost = begin_and_claim("gone").run.id
    over = timezone.now() - timedelta(minutes=1)
    models.Run.objects.filter(pk=lost).update(lease_until=over)
    end(TaskState.FAILED)
    end(TaskState.INPUT_REQUIRED)
    add_webhook(failing_since=over)
    add_webhook(failing_since=over, dead_at=over)
    with django_assert_num_queries(10):
        found = figures.read()
    assert (found.queued, found.lost, found.running) == (1, 1, 4)
    assert found.oldest_queued_at == models.Run.objects.get(task=waiting).created_at
    assert {each.name: each.turns for each in found.workers} == {"one": 3, "two": 1}
    assert (found.waiting_for_input, found.waiting_for_auth, found.failed_today) == (1, 0, 1)
    assert (found.webhooks_failing, found.webhooks_given_up) == (1, 1)
    assert sum(sum(each.states.values()) for each in found.history.hours) == 7
    assert [(each.agent, each.tasks) for each in found.history.agents] == [("load", 1)]
    assert (found.history.ended_lately, found.history.failed_lately) == (1, 1)


def test_counts_and_history_end_where_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "COUNTED", 2)
    monkeypatch.setattr(history, "SAMPLE", 2)
    for _ in range(5):
        begin()
    found = figures.read()
    assert found.queued == 3
    assert not found.history.is_whole
    assert sum(sum(each.states.values()) for each in found.history.hours) == 3


def test_durations_are_those_that_half_and_95_percent_of_an_agents_tasks_took() -> None:
    for seconds in range(1, 21):
        end(TaskState.COMPLETED, str(seconds))
    begun = timezone.now() - timedelta(minutes=1)
    tasks = models.Task.objects.order_by("pk")
    for seconds, task in enumerate(tasks, start=1):
        ended = begun + timedelta(seconds=seconds)
        models.Task.objects.filter(pk=task.pk).update(created_at=begun, status_at=ended)
    [agent] = figures.read().history.agents
    assert (agent.tasks, agent.median, agent.percentile95) == (20, 10, 19)


def test_events_are_counted_by_the_second_over_the_tasks_of_the_past_hour() -> None:
    for seq, hours in ((9000, 2), (1800, 0.5), (3600, 0)):
        key = begin().head.task_id
        begun = timezone.now() - timedelta(hours=hours)
        models.Task.objects.filter(pk=key).update(seq=seq, created_at=begun)
    assert figures.read().history.events_per_second == 1.5


def test_the_hours_of_a_day_are_there_also_where_nothing_happened() -> None:
    found = figures.read().history
    assert len(found.hours) == history.HOURS
    assert found.hours[-1].begin <= timezone.now() < found.hours[-1].begin + timedelta(hours=1)
    pauses = [b.begin - a.begin for a, b in itertools.pairwise(found.hours)]
    assert set(pauses) == {timedelta(hours=1)}


def test_cached_figures_are_read_once(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    first = figures.cached()
    begin()
    with django_assert_num_queries(0):
        assert figures.cached() == first


def test_the_command_exits_by_how_the_site_is() -> None:
    begin()
    code, text = told()
    assert (code, "FINE: All is well." in text, "1 turns waiting for a worker" in text) == (
        0, True, True,
    )  # fmt: skip  # one value a line would be a column
    for age, level in ((61, 1), (301, 2)):
        since = timezone.now() - timedelta(seconds=age)
        models.Run.objects.update(created_at=since)
        code, text = told("--json")
        found = json.loads(text)
        assert (code, found["level"]) == (level, ["fine", "warning", "critical"][level])
        assert "waited for a worker" in found["text"]
        assert found["queued"] == 1
        assert found["history"]["hours"][-1]["states"] == {"TASK_STATE_SUBMITTED": 1}


def test_failures_concern_somebody_only_where_there_are_some() -> None:
    for _ in range(9):
        end(TaskState.FAILED)
    assert figures.concerns_of(figures.read()) == []
    end(TaskState.FAILED)
    [concern] = figures.concerns_of(figures.read())
    assert concern == (figures.Level.CRITICAL, "10 of 10 tasks of the last hour have failed.")
    add_webhook(failing_since=timezone.now(), dead_at=timezone.now())
    concerns = figures.concerns_of(figures.read())
    assert concerns[-1] == (figures.Level.WARNING, "Webhooks given up: 1.")
    assert figures.worst_of(concerns) is figures.Level.CRITICAL
