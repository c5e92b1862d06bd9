"""Files in the storage: whatever happens, each has a row, and none stays behind (R6, R12)."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from a2a_app import database, models, protocol
from a2a_app.agents import Turn
from a2a_app.files import storage
from a2a_app.files.links import reference
from a2a_app.files.rows import ABANDONED_AFTER, read_file, try_to_delete_unattached
from a2a_app.protocol import Artifact, Message, Part, TaskState
from a2a_app.store.refusals import TaskEndedError
from a2a_app.store.task_head import TaskHead, read_task_head
from a2a_app.store.updates import ArtifactUpdate, MessageReceived, StatusUpdate, Update
from a2a_app.store.writes.append import append
from a2a_app.store.writes.attachments import StoredAttachments, with_attachments
from a2a_app.store.writes.writer import Writer, write
from tests.clients.operations import client_of
from tests.outages import away, logged, lose_patience
from tests.storages import FailingStorage, stored_names
from tests.tasks import begin, claim_of, new_message, status

pytestmark = pytest.mark.usefixtures("runtime", "reconnecting")

SECONDS = 20
LARGE = bytes(100_000)


@pytest.fixture(autouse=True)
def _fresh_storages(settings: Settings) -> Iterator[None]:
    """Let each test have storages that are empty."""
    failing = {"BACKEND": "tests.storages.FailingStorage"}
    settings.STORAGES = {**settings.STORAGES, "failing": failing}
    settings.A2A = {**settings.A2A, "STORAGE": "memory"}
    FailingStorage.saved = 0
    yield


def with_bytes(*raws: bytes) -> Message:
    parts = [Part(raw=raw) for raw in raws] or [Part(raw=LARGE)]
    return Message(message_id=str(uuid4()), role=protocol.Role.USER, parts=parts)


def artifact_of(*parts: Part) -> ArtifactUpdate:
    return ArtifactUpdate(Artifact(artifact_id="a", parts=list(parts)), last_chunk=True)


async def new_task() -> TaskHead:
    return (await database.run(begin)).head


async def contexts_of_rows() -> list[Any]:
    return list(
        await database.run(lambda: list(models.File.objects.values_list("context", flat=True)))
    )


async def test_updates_without_a_large_part_cost_nothing() -> None:
    async def refuse(*_: object) -> None:
        raise AssertionError("This is work for the database.")

    small = [
        Part(raw=bytes(10)),
        Part(text="a2a-file:"),
        Part(url="https://example.com/a2a/files/"),
    ]
    updates: list[Update] = [artifact_of(*small)]
    async with StoredAttachments(updates, owner="", run=refuse) as stored:
        assert with_attachments(stored) == updates


async def test_a_write_attaches_its_files_to_its_task(settings: Settings) -> None:
    head = await new_task()
    await write(head, MessageReceived(with_bytes(LARGE, b"small", LARGE)))
    [first, second] = await database.run(lambda: list(models.File.objects.order_by("id")))
    assert {first.context_id, second.context_id} == {head.context_key}
    assert {first.task_id, second.task_id} == {head.task_id}
    assert sorted(stored_names()) == sorted([first.name, second.name])
    assert first.size == len(LARGE)


async def test_a_write_that_is_refused_leaves_no_file() -> None:
    head = await new_task()
    ended = await write(head, status(TaskState.CANCELED))
    with pytest.raises(TaskEndedError):
        await write(ended.head, MessageReceived(with_bytes()))
    assert stored_names() == [] and await contexts_of_rows() == []


async def test_a_storage_that_fails_leaves_nothing_half_done(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": "failing"}
    head = await new_task()
    with pytest.raises(OSError, match="disk is full"):
        await write(head, MessageReceived(with_bytes(LARGE, LARGE)))
    assert stored_names("failing") == [] and await contexts_of_rows() == []
    assert (await database.run(lambda: read_task_head(head.task_id))).seq == 1


async def test_an_agents_file_that_cannot_be_stored_fails_its_task_with_the_traceback(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": "failing"}

    async def generous(turn: Turn) -> None:
        await turn.artifact(Part(raw=LARGE))
        await turn.artifact(Part(raw=LARGE))

    with client_of(generous) as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    assert "disk is full" not in task.to_json()
    run = await database.run(models.Run.objects.get)
    assert "OSError: The disk is full." in run.error
    assert len(stored_names("failing")) == len(await contexts_of_rows()) <= 1


async def test_a_name_that_the_storage_chooses_is_the_rows(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": "failing"}
    await write(await new_task(), MessageReceived(with_bytes()))
    row = await database.run(models.File.objects.get)
    assert [row.name] == stored_names("failing")
    assert row.name.endswith(".own")
    assert await read_file("", reference(row.pk)) == LARGE


async def test_a_refused_write_deletes_its_own_files_and_no_others() -> None:
    async with StoredAttachments([with_bytes()], owner="") as stored:
        assert len(stored_names()) == 1
        row = await database.run(models.File.objects.get)
        assert (row.pk, row.context_id) == (stored.keys[0], None)
        with pytest.raises(ValueError, match="refused"):
            async with StoredAttachments([with_bytes()], owner=""):
                assert len(stored_names()) == 2
                raise ValueError("refused")
        assert len(stored_names()) == 1


async def test_files_that_were_abandoned_cannot_be_attached_any_more() -> None:
    head = await new_task()
    async with StoredAttachments[Update]([MessageReceived(with_bytes())], owner="") as stored:
        await try_to_delete_unattached(stored.keys)
        with pytest.raises(RuntimeError, match="as abandoned"):
            await database.run(append, head, with_attachments(stored))
    assert (await database.run(lambda: read_task_head(head.task_id))).seq == 1


async def test_files_that_are_attached_are_not_deleted_as_abandoned() -> None:
    async with StoredAttachments[Update]([MessageReceived(with_bytes())], owner="") as stored:
        await database.run(append, await new_task(), with_attachments(stored))
        await try_to_delete_unattached(stored.keys)
    assert len(stored_names()) == len(await contexts_of_rows()) == 1


async def test_a_file_that_a_crash_left_behind_is_deleted_when_it_is_old() -> None:
    head = await new_task()
    for _ in range(3):
        async with StoredAttachments([with_bytes()], owner=""):
            pass  # and nothing attaches it
    assert len(stored_names()) == 3
    await write(head, MessageReceived(with_bytes()))
    assert len(stored_names()) == 4
    long_ago = timezone.now() - ABANDONED_AFTER - timedelta(seconds=1)
    await database.run(lambda: models.File.objects.filter(context=None).update(created_at=long_ago))
    for left in (3, 3):
        # One more file each time; of the three that are old, two go with the first, and then one.
        await write(head, MessageReceived(with_bytes()))
        assert len(stored_names()) == left
    assert None not in await contexts_of_rows()


async def test_a_file_goes_with_its_row_and_not_before_that_is_committed() -> None:
    head = await new_task()
    await write(head, MessageReceived(with_bytes()))

    def delete(rolls_back: bool) -> None:
        with transaction.atomic():
            models.Context.objects.get().delete()
            assert len(stored_names()) == 1
            transaction.set_rollback(rolls_back)

    await database.run(lambda: delete(True))
    assert len(stored_names()) == len(await contexts_of_rows()) == 1
    await database.run(lambda: delete(False))
    assert stored_names() == [] and await contexts_of_rows() == []


async def test_a_storage_that_does_not_delete_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    head = await new_task()
    await write(head, MessageReceived(with_bytes()))

    def refuse(self: InMemoryStorage, name: str) -> None:
        raise OSError("It is away.")

    monkeypatch.setattr(InMemoryStorage, "delete", refuse)
    await database.run(lambda: models.Task.objects.get().delete())
    assert await contexts_of_rows() == []
    assert "It is away." in caplog.text


async def test_a_part_that_is_passed_on_is_stored_once() -> None:
    head = await new_task()
    appended = await write(head, MessageReceived(with_bytes()))
    assert appended.said is not None
    [part] = appended.said.parts
    claim = await database.run(claim_of, head.task_id)
    assert claim is not None
    writer = Writer(claim.head, claim.run, on_loss=lambda: None)
    await writer.put(artifact_of(part, part))
    await writer.flushed()
    [row] = await database.run(lambda: list(models.File.objects.all()))
    artifact = await database.run(models.Artifact.objects.get)
    assert [each["url"] for each in artifact.parts] == [reference(row.pk)] * 2
    other = await database.run(begin)
    await write(
        other.head,
        StatusUpdate(TaskState.WORKING, new_message().model_copy(update={"parts": [part]})),
    )
    both = await database.run(lambda: list(models.File.objects.values_list("task", "name")))
    assert {task for task, _ in both} == {head.task_id, other.head.task_id}
    assert {name for _, name in both} == set(stored_names()) == {row.name}


async def test_a_run_with_a_file_waits_for_a_database_that_is_away() -> None:
    appended = await database.run(begin)
    claim = await database.run(claim_of, appended.head.task_id)
    assert claim is not None
    writer = Writer(claim.head, claim.run, on_loss=lambda: None)
    await database.run(lose_patience)
    with away(), logged("a2a_app.database") as told:
        await writer.put(artifact_of(Part(raw=LARGE)))
        returning = asyncio.create_task(writer.flushed())
        await asyncio.wait_for(told.wait(), SECONDS)
    await asyncio.wait_for(returning, SECONDS)
    assert len(stored_names()) == len(await contexts_of_rows()) == 1


async def test_the_default_folder_is_the_projects_and_for_nobody_else(
    settings: Settings, tmp_path: Path
) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": ""}
    settings.BASE_DIR = tmp_path
    await write(await new_task(), MessageReceived(with_bytes()))
    row = await database.run(models.File.objects.get)
    path = tmp_path / storage.FOLDER / row.name
    assert path.read_bytes() == LARGE
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
