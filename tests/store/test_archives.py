"""Archives: logs of tasks that ended long ago are in files, and everything else is as before."""

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db.models.signals import post_delete
from django.utils import timezone

from a2a_app import database, models
from a2a_app.management import batches
from a2a_app.operations.idempotency import send_message
from a2a_app.operations.tasks import list_tasks
from a2a_app.protocol import (
    ListTasksRequest,
    SendMessageRequest,
    TaskPushNotificationConfig,
    TaskState,
    UnsupportedOperationError,
)
from a2a_app.store import archives
from a2a_app.store.log_files import LogFile
from a2a_app.store.prune import Age
from a2a_app.store.reads.tasks import position_at
from a2a_app.store.updates import Returned, Update, Webhook
from a2a_app.store.webhooks import put_webhook
from a2a_app.store.writes.append import append
from tests.clients.operations import client_of
from tests.storages import HookedStorage, stored_names
from tests.tasks import SCOPE, begin_and_claim, chunk, new_message, status

pytestmark = pytest.mark.usefixtures("runtime", "_in_memory")

HOSTILE = 'a line\nand another\u2028"€"'


@pytest.fixture
def _in_memory(settings: Any) -> None:
    """Store files in memory, where there are none yet."""
    hooked = {"BACKEND": "tests.storages.HookedStorage"}
    settings.STORAGES = {**settings.STORAGES, "hooked": hooked}
    settings.A2A = {**settings.A2A, "STORAGE": "memory"}


def command(*options: str, name: str = "a2a_archive") -> str:
    out = StringIO()
    call_command(name, *options, stdout=out)
    return out.getvalue()


def task(*, days: int = 9, state: TaskState = TaskState.COMPLETED, text: str = "done") -> UUID:
    """Make a task with four events, whose state is so many days old."""
    claim = begin_and_claim()
    head = append(claim.head, [status(TaskState.WORKING)], run=claim.run).head
    updates: list[Update] = [chunk(text, append=False, last=True), status(state, "so"), Returned()]
    append(head, updates, run=claim.run)
    then = timezone.now() - timedelta(days=days)
    models.Task.objects.filter(pk=head.task_id).update(status_at=then)
    models.Context.objects.filter(pk=head.context_key).update(created_at=then)
    models.Message.objects.filter(task=head.task_id).update(created_at=then)
    return head.task_id


def logged(task_id: UUID) -> list[tuple[Any, ...]]:
    """Return a task's events as the table has them."""
    events = models.Event.objects.filter(task=task_id).order_by("seq")
    return list(events.values_list("seq", "turn", "state", "artifact_id", "body", "created_at"))


def archived(task_id: UUID) -> list[dict[str, Any]]:
    """Return a task's events as its archive has them."""
    return [json.loads(line) for line in command("--read", str(task_id)).splitlines()]


def test_a_log_goes_into_a_file_byte_for_byte() -> None:
    old = task(text=HOSTILE)
    before = logged(old)
    assert len(before) == 4
    assert command("--days", "8") == "Archived: 1 tasks, 4 events.\n"
    assert logged(old) == []
    lines = command("--read", str(old)).split("\n")
    assert lines.pop() == ""
    for line, (seq, turn, state, artifact_id, body, at) in zip(lines, before, strict=True):
        assert line.endswith(f', "event": {body}}}')
        about = json.loads(line)
        del about["event"]
        assert about == {
            "task": str(old), "seq": seq, "at": at.isoformat(), "turn": turn, "state": state,
            "artifactId": artifact_id,
        }  # fmt: skip  # read as two lines it is one list
    [row] = models.Archive.objects.all()
    assert (row.storage, row.tasks) == ("memory", 1)
    assert row.size == storages["memory"].size(row.name)
    assert stored_names() == [row.name]


def test_a_long_log_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "READ_LIMIT", 2)
    old = task()
    assert command("--days", "8") == "Archived: 1 tasks, 4 events.\n"
    assert [each["seq"] for each in archived(old)] == [1, 2, 3, 4]


def test_the_logs_of_many_tasks_share_a_file_and_each_is_read_alone() -> None:
    old = [task(text=f"number {number}") for number in range(3)]
    young = task(days=7)
    assert command("--days", "8") == "Archived: 3 tasks, 12 events.\n"
    assert len(stored_names()) == 1
    for number, each in enumerate(old):
        assert {line["task"] for line in archived(each)} == {str(each)}
        assert f"number {number}" in json.dumps(archived(each))
    assert len(logged(young)) == 4
    assert command("--days", "8") == "Archived: 0 tasks, 0 events.\n"
    assert len(stored_names()) == 1


def test_no_file_has_more_logs_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)
    old = [task() for _ in range(5)]
    assert command("--days", "8") == "Archived: 5 tasks, 20 events.\n"
    sizes = models.Archive.objects.order_by("tasks").values_list("tasks", flat=True)
    assert list(sizes) == [1, 2, 2]
    assert all(len(archived(each)) == 4 for each in old)


async def test_an_archived_task_is_answered_as_before(runtime: None) -> None:
    async def twice(turn: Any) -> Any:
        for word in ("one", "two"):
            yield word

    with client_of(twice, idempotent=True) as client:
        message = new_message()
        params = SendMessageRequest(message=message)
        sent = (await send_message(client.call, params)).task
        assert sent is not None
        before = await client.get(sent.id)
        page = await list_tasks(client.call, ListTasksRequest(include_artifacts=True))
        later = Age(timezone.now() + timedelta(days=1))
        moved = await database.run(archives.archive_logs, later, [UUID(sent.id)], "memory")
        assert moved.tasks == 1
        assert await client.get(sent.id) == before
        assert await list_tasks(client.call, ListTasksRequest(include_artifacts=True)) == page
        assert (await send_message(client.call, params)).task == before
        with pytest.raises(UnsupportedOperationError):
            await anext(client.subscribe(sent.id))
        client.call = replace(client.call, last_event_id="1")
        with pytest.raises(UnsupportedOperationError):
            await anext(client.subscribe(sent.id))
        for seq in (0, 1, moved.events):
            position = await database.run(position_at, client.call.scope, sent.id, seq)
            assert position.seq == position.newest == moved.events
            assert position.state is TaskState.COMPLETED


@pytest.mark.parametrize("state", ["WORKING", "INPUT_REQUIRED"])
def test_the_log_of_a_task_that_has_not_ended_stays(state: str) -> None:
    claim = begin_and_claim()
    head = append(claim.head, [status(TaskState(f"TASK_STATE_{state}"))], run=claim.run).head
    models.Task.objects.update(status_at=timezone.now() - timedelta(days=99))
    assert command("--days", "8") == "Archived: 0 tasks, 0 events.\n"
    assert len(logged(head.task_id)) == 2


def test_a_log_stays_for_as_long_as_a_webhook_has_not_got_all_of_it() -> None:
    old = task()
    config = TaskPushNotificationConfig(id="one", url="https://example.com/hook")
    put_webhook(old, Webhook(config, "example.com"), owner="", after=0)
    hooks = models.PushNotificationConfig.objects
    # One that was given up is not due, but staff may have it tried again.
    hooks.update(announced=4, delivered=3, due_at=None, dead_at=timezone.now())
    assert command("--days", "8") == "Archived: 0 tasks, 0 events.\n"
    hooks.update(delivered=4)
    assert command("--days", "8") == "Archived: 1 tasks, 4 events.\n"


def test_only_the_logs_of_the_agents_that_are_named_go() -> None:
    task()
    assert command("--days", "8", "--agent", "other") == "Archived: 0 tasks, 0 events.\n"
    assert command("--days", "8", "--agent", SCOPE.agent) == "Archived: 1 tasks, 4 events.\n"


def test_a_dry_run_counts_and_moves_nothing() -> None:
    old = task()
    assert command("--days", "8", "--dry-run") == "Would archive: 1 tasks, 4 events.\n"
    assert len(logged(old)) == 4
    assert stored_names() == []


def test_another_storage_may_be_named_which_must_exist() -> None:
    old = task()
    with pytest.raises(CommandError, match="nowhere"):
        command("--days", "8", "--storage", "nowhere")
    assert command("--days", "8", "--storage", "hooked") == "Archived: 1 tasks, 4 events.\n"
    assert stored_names() == []
    assert len(archived(old)) == 4


def test_where_the_storage_takes_no_file_nothing_is_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise OSError("The disk is full.")

    old = task()
    before = logged(old)
    monkeypatch.setattr(HookedStorage, "before_saving", staticmethod(refuse))
    with pytest.raises(CommandError, match=r"has failed.*disk is full.*Run it again"):
        command("--days", "8", "--storage", "hooked")
    assert logged(old) == before
    assert not models.ArchivedLog.objects.exists()


def test_a_project_that_hears_of_deleted_events_hears_of_each() -> None:
    heard: list[int] = []

    def hear(instance: models.Event, **_: object) -> None:
        heard.append(instance.seq)

    old = task()
    post_delete.connect(hear, sender=models.Event)
    try:
        command("--days", "8")
    finally:
        post_delete.disconnect(hear, sender=models.Event)
    assert sorted(heard) == [1, 2, 3, 4]
    assert len(archived(old)) == 4


def test_what_is_archived_nowhere_is_told_so() -> None:
    unknown = uuid4()
    with pytest.raises(CommandError, match=f"The log of task {unknown} is in no archive"):
        command("--read", str(unknown))
    with pytest.raises(CommandError, match="one of the arguments --days --read is required"):
        command()


def test_a_file_too_large_for_memory_is_made_on_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("a2a_app.store.log_files.IN_MEMORY", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old = task()
    assert command("--days", "8") == "Archived: 1 tasks, 4 events.\n"
    assert len(archived(old)) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_log_without_events_takes_no_place() -> None:
    with LogFile() as made:
        made.add(uuid4(), [])
        assert made.places == []
        assert made.content.tell() == made.content.seek(0, 2) == 0
