"""Pruning: tasks that have ended and are old go with all that belongs to them, and nothing else."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Model, ProtectedError
from django.db.models.signals import post_delete, pre_delete
from django.utils import timezone

from a2a_app import models
from a2a_app.management import batches
from a2a_app.models.owners import Scope
from a2a_app.protocol import Role, TaskPushNotificationConfig, TaskState
from a2a_app.store.prune import Age, forget_contexts, forget_tasks
from a2a_app.store.quota import stored_by
from a2a_app.store.removal import BATCH, remove_contexts
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import MessageKey, MessageReceived, Returned, Update, Webhook
from a2a_app.store.webhooks import put_webhook
from a2a_app.store.writes.append import append
from a2a_app.store.writes.contexts import open_context, record
from tests.tasks import SCOPE, begin, chunk, claim_of, new_message, status

pytestmark = pytest.mark.usefixtures("runtime")

OF_A_TASK: tuple[type[Model], ...] = (
    models.Artifact, models.Event, models.Message, models.Run,
)  # fmt: skip  # as one list


def prune(*options: str) -> str:
    out = StringIO()
    call_command("a2a_prune", *options, stdout=out)
    return out.getvalue()


def task(state: TaskState = TaskState.COMPLETED, *, days: int = 0, **more: Any) -> UUID:
    """Make a task with an artifact, all of whose rows are so many days old, in a state."""
    head = begin(**more).head
    claim = claim_of(head.task_id) if head.agent == SCOPE.agent else None
    if claim is None:
        append(head, [status(state)])
    else:
        updates: list[Update] = [chunk("done", append=False, last=True), status(state, "so")]
        if state.is_terminal or state.is_interrupted:
            updates.append(Returned())
        append(claim.head, updates, run=claim.run)
    then = timezone.now() - timedelta(days=days)
    models.Task.objects.filter(pk=head.task_id).update(status_at=then)
    models.Context.objects.filter(pk=head.context_key).update(created_at=then)
    models.Message.objects.filter(task=head.task_id).update(created_at=then)
    return head.task_id


def left() -> set[UUID]:
    return set(models.Task.objects.values_list("pk", flat=True))


def age(*, days: int, waiting_days: int | None = None) -> Age:
    now = timezone.now()
    waiting = None if waiting_days is None else now - timedelta(days=waiting_days)
    return Age(now - timedelta(days=days), waiting)


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELED", "REJECTED"])
def test_a_task_that_ended_long_ago_goes_with_all_that_belongs_to_it(state: str) -> None:
    task(TaskState(f"TASK_STATE_{state}"), days=31)
    young = task(TaskState(f"TASK_STATE_{state}"), days=29)
    assert prune("--days", "30") == "Deleted: 1 tasks, 1 conversations.\n"
    assert left() == {young}
    for model in OF_A_TASK:
        assert set(model._default_manager.values_list("task", flat=True)) == {young}
    assert prune("--days", "30") == "Deleted: 0 tasks, 0 conversations.\n"


@pytest.mark.slow
def test_more_tasks_than_one_batch_all_go() -> None:
    for _ in range(BATCH + 1):
        begin()
    long_ago = timezone.now() - timedelta(days=2)
    models.Task.objects.update(state=TaskState.FAILED, status_at=long_ago)
    assert prune("--days", "1") == f"Deleted: {BATCH + 1} tasks, 0 conversations.\n"
    assert left() == set()


@pytest.mark.parametrize("state", ["SUBMITTED", "WORKING", "INPUT_REQUIRED", "AUTH_REQUIRED"])
def test_a_task_that_has_not_ended_stays_however_old_it_is(state: str) -> None:
    old = task(TaskState(f"TASK_STATE_{state}"), days=5000)
    assert prune("--days", "1") == "Deleted: 0 tasks, 0 conversations.\n"
    assert left() == {old}


def test_tasks_that_wait_for_their_client_go_where_an_option_says_after_how_long() -> None:
    task(TaskState.INPUT_REQUIRED, days=50)
    working = task(TaskState.WORKING, days=50)
    assert prune("--days", "1", "--waiting-days", "51").startswith("Deleted: 0 tasks")
    assert prune("--days", "99", "--waiting-days", "49").startswith("Deleted: 1 tasks")
    assert left() == {working}


def test_a_task_that_its_client_answers_meanwhile_stays() -> None:
    waiting = task(TaskState.INPUT_REQUIRED, days=50)
    old = age(days=1, waiting_days=1)
    keys = list(old.tasks().values_list("pk", flat=True))
    append(read_task_head(waiting), [MessageReceived(new_message("late"))])
    assert keys == [waiting]
    assert forget_tasks(old, keys) == []
    assert left() == {waiting}


def test_a_task_stays_until_its_webhooks_have_heard_of_its_end() -> None:
    old = task(days=31)
    config = TaskPushNotificationConfig(id="one", url="https://example.com/hook")
    put_webhook(old, Webhook(config, "example.com"), owner="", after=0)
    models.PushNotificationConfig.objects.update(due_at=timezone.now())
    assert prune("--days", "30") == "Deleted: 0 tasks, 0 conversations.\n"
    models.PushNotificationConfig.objects.update(due_at=None)
    assert prune("--days", "30") == "Deleted: 1 tasks, 1 conversations.\n"
    assert left() == set()


def test_only_the_tasks_of_the_agents_that_are_named_go() -> None:
    others = {name: task(days=9, scope=Scope(name, "")) for name in ("one", "two", "three")}
    assert prune("--days", "8", "--agent", "one", "--agent", "two") == (
        "Deleted: 2 tasks, 2 conversations.\n"
    )
    assert left() == {others["three"]}


def test_a_dry_run_counts_and_deletes_nothing() -> None:
    task(days=31)
    task(days=31, context_id="long")
    task(days=29, context_id="long")
    before = left()
    assert prune("--days", "30", "--dry-run") == "Would delete: 2 tasks, 1 conversations.\n"
    assert left() == before
    assert prune("--days", "30") == "Deleted: 2 tasks, 1 conversations.\n"


class Hearer:
    """A project's receiver of signals. It may raise when it has heard of so many tasks."""

    def __init__(self, ends_at: int = 0) -> None:
        self.heard: list[UUID] = []
        self.ends_at = ends_at

    def __call__(self, instance: models.Task, **_: object) -> None:
        self.heard.append(instance.pk)
        if len(self.heard) == self.ends_at:
            raise KeyboardInterrupt


@pytest.fixture
def hearer() -> Iterator[Hearer]:
    hears = Hearer()
    post_delete.connect(hears, sender=models.Task)
    yield hears
    post_delete.disconnect(hears, sender=models.Task)


def test_a_project_that_hears_of_deletions_hears_of_each(hearer: Hearer) -> None:
    old = {task(days=9), task(days=9)}
    assert prune("--days", "8") == "Deleted: 2 tasks, 2 conversations.\n"
    assert set(hearer.heard) == old
    assert not models.Event.objects.exists()


def test_one_that_was_stopped_by_ctrl_c_goes_on_when_it_is_run_again(
    hearer: Hearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)
    for _ in range(5):
        task(days=9)
    hearer.ends_at = 4
    with pytest.raises(CommandError, match="Run it again to go on") as stopped:
        prune("--days", "8", "--connections", "1")
    assert stopped.value.returncode == 130
    assert len(left()) == 3
    assert prune("--days", "8") == "Deleted: 3 tasks, 3 conversations.\n"


@pytest.mark.parametrize("command", ["a2a_prune", "a2a_archive"])
def test_an_agent_that_the_project_does_not_have_may_be_misspelt(command: str) -> None:
    out, errors = StringIO(), StringIO()
    options = ["--days", "8", "--dry-run", "--agent", "ecko", "--agent", "echo"]
    call_command(command, *options, stdout=out, stderr=errors)
    assert errors.getvalue() == "The project has no agent 'ecko'. Did you mean 'echo'?\n"


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(batches, "REPORT_SECONDS", 0)
    task(days=9)
    out = Terminal()
    call_command("a2a_prune", "--days", "8", stdout=out)
    assert re.search(r"\r1 tasks, 1 conversations in \d+ s", out.getvalue())
    assert out.getvalue().endswith("\rDeleted: 1 tasks, 1 conversations.\n")


@pytest.mark.slow
def test_tasks_of_one_conversation_go_over_several_connections_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "BATCH", 1)
    for number in range(12):
        task(days=9, context_id=f"shared {number % 2}")
    assert prune("--days", "8", "--connections", "4") == "Deleted: 12 tasks, 2 conversations.\n"
    assert not models.Context.objects.exists()


def test_no_row_is_left_out_where_the_table_is_looked_through_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "WINDOW", 2)
    stays = {task() for _ in range(2)}
    for _ in range(3):
        task(days=9)
    stays |= {task() for _ in range(2)}
    assert prune("--days", "8") == "Deleted: 3 tasks, 3 conversations.\n"
    assert left() == stays


@pytest.mark.parametrize("connections", ["0", "17", "many"])
def test_a_number_of_connections_that_is_none_is_refused(connections: str) -> None:
    with pytest.raises(CommandError, match="a whole number from 1 to 16"):
        prune("--days", "1", "--connections", connections)


def test_a_conversation_stays_for_as_long_as_anything_of_it_is_young() -> None:
    task(days=31, context_id="asked lately")
    record(SCOPE, "asked lately", new_message(), new_message("yes", Role.AGENT))
    task(days=31, context_id="worked on lately")
    task(days=3, context_id="worked on lately")
    open_context(SCOPE, "begun lately")
    assert prune("--days", "30") == "Deleted: 2 tasks, 0 conversations.\n"
    assert models.Context.objects.count() == 3


def test_answers_without_a_task_go_with_their_conversation() -> None:
    record(SCOPE, "long ago", new_message(), new_message("yes", Role.AGENT))
    long_ago = timezone.now() - timedelta(days=31)
    models.Context.objects.update(created_at=long_ago)
    models.Message.objects.update(created_at=long_ago)
    assert prune("--days", "30") == "Deleted: 0 tasks, 1 conversations.\n"
    assert not models.Message.objects.exists()


@contextmanager
def few_parameters() -> Iterator[None]:
    """Let SQLite take 20 parameters for a statement. Builds of it differ: many take 32,766."""
    if connection.vendor != "sqlite":
        yield
        return
    before = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 20)
    yield
    connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, before)


def test_a_conversation_may_have_more_answers_than_a_statement_takes_parameters() -> None:
    for number in range(15):
        key = MessageKey(str(number), "")
        record(SCOPE, "talk", new_message(), new_message("yes", Role.AGENT), key)
    with few_parameters():
        assert remove_contexts(models.Context.objects.all()) == 1
    assert not models.Message.objects.exists()
    assert not models.IdempotencyKey.objects.exists()


def test_a_conversation_that_goes_on_meanwhile_stays() -> None:
    task(days=31, context_id="quiet")
    old = age(days=30)
    forget_tasks(old, list(left()))
    keys = list(old.contexts().values_list("pk", flat=True))
    late = begin(context_id="quiet").head.task_id
    assert len(keys) == 1
    assert forget_contexts(old, keys) == 0
    assert left() == {late}


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "ten", "36501", "²"])
@pytest.mark.parametrize("option", ["--days", "--waiting-days"])
def test_an_age_that_is_none_is_refused_by_its_name(option: str, days: str) -> None:
    given = [f"{option}={days}"] if option == "--days" else ["--days=1", f"{option}={days}"]
    with pytest.raises(CommandError, match=f"argument {option}: must be a whole number"):
        prune(*given)


def test_an_age_must_be_given_and_is_never_guessed() -> None:
    with pytest.raises(CommandError, match="--days"):
        prune()


def test_what_is_deleted_is_released_once_whoever_hears_of_it(hearer: Hearer) -> None:
    task(days=9)
    prune("--days", "8")
    assert hearer.heard
    assert stored_by([SCOPE.owner]) == {SCOPE.owner: 0}


@pytest.fixture
def protected() -> Iterator[set[UUID]]:
    """Yield a set of keys of tasks and conversations, which a project keeps from being deleted."""

    def protect(instance: Model, **_: object) -> None:
        if instance.pk in keys:
            raise ProtectedError("It is part of an order.", {instance})

    keys: set[UUID] = set()
    for model in (models.Task, models.Context):
        pre_delete.connect(protect, sender=model)
    yield keys
    for model in (models.Task, models.Context):
        pre_delete.disconnect(protect, sender=model)


def test_what_a_project_protects_stays_and_keeps_nothing_else(protected: set[UUID]) -> None:
    kept = {task(days=9), task(days=9)}
    gone, talk = task(days=9), task(days=9)
    protected |= kept
    protected.add(models.Task.objects.get(pk=talk).context_id)
    assert prune("--days", "8") == "Deleted: 2 tasks, 1 conversations.\n"
    assert left() == kept
    assert not models.Event.objects.filter(task__in=[gone, talk]).exists()
    assert models.Event.objects.filter(task__in=kept).exists()
    protected.clear()
    assert prune("--days", "8") == "Deleted: 2 tasks, 3 conversations.\n"
