"""Retention: what a project no longer keeps is deleted bit by bit, by one process at a time."""

import asyncio
import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError
from django.test import override_settings
from django.utils import timezone

from a2a_app import conf, database, models, runners
from a2a_app.models.owners import Scope
from a2a_app.protocol import Role, TaskState
from a2a_app.runners.upkeep import retain_some
from a2a_app.store import retention
from a2a_app.store.archives import ArchiveError
from a2a_app.store.writes.contexts import record
from tests.conftest import ChangeSettings
from tests.store.test_prune import left, prune, task
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
ECHO = Scope("echo", "")
BEN = Scope("load", "user:2")


def sweep() -> int:
    """Do the next bit on both tables, as a process does that finds it due."""
    deleted = 0
    for kind in retention.KINDS:
        if retention.claim(kind):
            deleted += retention.retain(kind)
    return deleted


def look_again() -> int:
    """Do a whole pass over both tables, an hour later."""
    models.Upkeep.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    deleted = sweep()
    while models.Upkeep.objects.filter(due_at__lte=timezone.now()).exists():
        deleted += sweep()
    return deleted


def test_nothing_is_deleted_where_there_is_no_rule() -> None:
    task(days=36_000)
    assert look_again() == 0


@pytest.mark.slow
def test_the_first_rule_that_fits_a_task_decides(a2a: ChangeSettings) -> None:
    a2a(
        RETENTION=[
            {"agent": "echo", "days": None},
            {"state": "failed", "days": 10},
            {"owner": "user:2", "days": 100},
            {"state": "input_required", "days": 200},
            {"days": 30},
        ]
    )
    gone = {
        task(TaskState.FAILED, days=11),
        task(TaskState.FAILED, days=11, scope=BEN),
        task(days=101, scope=BEN),
        task(TaskState.INPUT_REQUIRED, days=201),
        task(days=31),
    }
    kept = {
        task(days=3000, scope=ECHO),
        task(TaskState.FAILED, days=9),
        task(days=99, scope=BEN),
        task(TaskState.INPUT_REQUIRED, days=199),
        task(TaskState.AUTH_REQUIRED, days=3000),
        task(TaskState.WORKING, days=3000),
        task(days=29),
    }
    assert prune("--policy", "--dry-run") == "Would delete: 5 tasks, 5 conversations.\n"
    assert look_again() == len(gone)
    assert left() == kept
    assert models.Context.objects.count() == len(kept)


def test_the_command_deletes_by_the_policy_at_once(a2a: ChangeSettings) -> None:
    a2a(RETENTION=[{"state": "failed", "days": 10}, {"days": 30}])
    kept = {task(TaskState.FAILED, days=9), task(days=11)}
    task(TaskState.FAILED, days=11)
    task(days=31)
    assert prune("--policy") == "Deleted: 2 tasks, 2 conversations.\n"
    assert left() == kept


def test_answers_without_a_task_are_kept_by_the_rules_without_a_state(
    a2a: ChangeSettings,
) -> None:
    for scope in (Scope("load", ""), ECHO):
        record(scope, "long ago", new_message(), new_message("yes", Role.AGENT))
    long_ago = timezone.now() - timedelta(days=31)
    models.Context.objects.update(created_at=long_ago)
    models.Message.objects.update(created_at=long_ago)
    a2a(RETENTION=[{"state": "completed", "days": 1}])
    assert look_again() == 0
    a2a(RETENTION=[{"agent": "echo", "days": None}, {"days": 30}])
    assert look_again() == 1
    assert models.Context.objects.get().agent == "echo"


@pytest.mark.slow
def test_a_bit_of_the_work_is_bounded_and_a_pass_leaves_nothing_out(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(RETENTION=[{"state": "failed", "days": 10}, {"days": 30}])
    for name, number in (("WINDOW", 5), ("BATCH", 2)):
        monkeypatch.setattr(retention, name, number)
    young = {task(days=1) for _ in range(3)}
    for number in range(11):
        task(TaskState.FAILED if number % 2 else TaskState.COMPLETED, days=40)
    most = 0
    while left() > young:
        before = len(left())
        sweep()
        most = max(most, before - len(left()))
    assert 0 < most <= 4
    assert left() == young
    assert look_again() == 0
    assert not retention.claim(retention.TASKS)


def test_one_process_at_a_time_does_the_work(a2a: ChangeSettings) -> None:
    a2a(RETENTION=[{"days": 30}])
    assert retention.claim(retention.TASKS)
    assert not retention.claim(retention.TASKS)
    retention.retain(retention.TASKS)
    # All rows were looked at, and they are again in an hour.
    assert not retention.claim(retention.TASKS)


@pytest.mark.slow
async def test_a_server_deletes_what_is_too_old_beside_its_other_work(
    a2a: ChangeSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(RETENTION=[{"days": 30}], SWEEP_SECONDS=0.05)
    young = await sync_to_async(task)(days=1)
    await sync_to_async(task)(days=31)
    deleted = asyncio.Event()
    tell = partial(asyncio.get_running_loop().call_soon_threadsafe, deleted.set)

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell()

    caplog.set_level(logging.INFO, retention.logger.name)
    monkeypatch.setattr(retention.logger, "handlers", [Listener()])
    await runners.current().begin()
    async with asyncio.timeout(SECONDS):
        await deleted.wait()
    assert await database.run(left) == {young}


async def test_a_bit_that_is_not_due_is_not_done(a2a: ChangeSettings) -> None:
    a2a(RETENTION=[{"days": 30}])
    await sync_to_async(task)(days=31)
    assert await retain_some() == 1
    await sync_to_async(task)(days=31)
    assert await retain_some() == 0


@pytest.mark.parametrize(
    "rule",
    [
        {}, {"days": 0}, {"days": 36_501}, {"days": 1, "state": "working"}, {"days": 1, "x": 1},
        {"days": 1, "state": "TASK_STATE_FAILED"},
    ],
)  # fmt: skip  # as one list
def test_a_rule_that_says_nothing_or_nonsense_is_refused(rule: dict[str, Any]) -> None:
    refused = pytest.raises(ImproperlyConfigured, match=r"A2A\['RETENTION")
    with override_settings(A2A={"RETENTION": [rule]}), refused:
        conf.current()


def test_the_states_of_rules_are_those_in_which_a_task_may_be_deleted() -> None:
    states = {TaskState[name.upper()] for name in conf.PRUNABLE_STATES}
    assert states == {each for each in TaskState if each.is_terminal or each.is_interrupted}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--policy"], "RETENTION'] is empty"),
        (["--policy", "--agent", "echo"], "goes with none"),
        (["--policy", "--days", "3"], "not allowed with"),
        (["--days", "3", "--state", "working"], "invalid choice"),
        (["--days", "3", "--state", "auth_required"], "need --waiting-days"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        prune(*options)


def test_tasks_go_by_owner_and_by_state(a2a: ChangeSettings) -> None:
    tasks = {
        (scope.owner, state): task(state, days=31, scope=scope)
        for scope in (Scope("load", ""), BEN)
        for state in (TaskState.FAILED, TaskState.COMPLETED, TaskState.INPUT_REQUIRED)
    }
    options = ["--days", "30", "--owner", "user:2", "--state", "failed"]
    assert prune(*options) == "Deleted: 1 tasks, 1 conversations.\n"
    waiting = [*options, "--waiting-days", "30", "--state", "input_required"]
    assert prune(*waiting) == "Deleted: 1 tasks, 1 conversations.\n"
    gone = {tasks["user:2", TaskState.FAILED], tasks["user:2", TaskState.INPUT_REQUIRED]}
    assert left() == set(tasks.values()) - gone


def test_a_storage_that_fails_keeps_no_pass_from_its_beginning(a2a: ChangeSettings) -> None:
    a2a(RETENTION=[{"days": 30}])
    models.Archive.objects.create(storage="nowhere", name="lost", size=1, tasks=1)
    with pytest.raises(ArchiveError, match="nowhere"):
        look_again()
    upkeep = models.Upkeep.objects.get(name=retention.TASKS)
    assert upkeep.after is None
    assert upkeep.due_at > timezone.now() + retention.PAUSE / 2
