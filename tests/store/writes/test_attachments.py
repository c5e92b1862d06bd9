"""Attachments: what is too large for a row goes to the storage, whole or not at all (R6, R12)."""

import asyncio

import pytest
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.agents import Turn
from a2a_app.files.links import reference
from a2a_app.protocol import Artifact, Part, TaskState
from a2a_app.store.refusals import TaskEndedError
from a2a_app.store.task_head import TaskHead, read_task_head
from a2a_app.store.updates import ArtifactUpdate, MessageReceived, StatusUpdate, Update
from a2a_app.store.writes.attachments import StoredAttachments, with_attachments
from a2a_app.store.writes.writer import Writer, write
from tests.clients.operations import client_of
from tests.outages import away, logged, lose_patience
from tests.storages import LARGE, contexts_of_files, message_with, stored_names
from tests.tasks import begin, claim_of, new_message, status

pytestmark = pytest.mark.usefixtures("runtime", "reconnecting", "empty_storages")

SECONDS = 20


def artifact_of(*parts: Part) -> ArtifactUpdate:
    return ArtifactUpdate(Artifact(artifact_id="a", parts=list(parts)), last_chunk=True)


async def new_task() -> TaskHead:
    return (await database.run(begin)).head


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
    await write(head, MessageReceived(message_with(LARGE, b"small", LARGE)))
    [first, second] = await database.run(lambda: list(models.File.objects.order_by("id")))
    assert {first.context_id, second.context_id} == {head.context_key}
    assert {first.task_id, second.task_id} == {head.task_id}
    assert sorted(stored_names()) == sorted([first.name, second.name])
    assert first.size == len(LARGE)


async def test_a_write_that_is_refused_leaves_no_file() -> None:
    head = await new_task()
    ended = await write(head, status(TaskState.CANCELED))
    with pytest.raises(TaskEndedError):
        await write(ended.head, MessageReceived(message_with()))
    assert stored_names() == [] and await contexts_of_files() == []


async def test_a_storage_that_fails_leaves_nothing_half_done(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": "failing"}
    head = await new_task()
    with pytest.raises(OSError, match="disk is full"):
        await write(head, MessageReceived(message_with(LARGE, LARGE)))
    assert stored_names("failing") == [] and await contexts_of_files() == []
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
    assert len(stored_names("failing")) == len(await contexts_of_files()) <= 1


async def test_a_refused_write_deletes_its_own_files_and_no_others() -> None:
    async with StoredAttachments([message_with()], owner="") as stored:
        assert len(stored_names()) == 1
        row = await database.run(models.File.objects.get)
        assert (row.pk, row.context_id) == (stored.keys[0], None)
        with pytest.raises(ValueError, match="refused"):
            async with StoredAttachments([message_with()], owner=""):
                assert len(stored_names()) == 2
                raise ValueError("refused")
        assert len(stored_names()) == 1


async def test_a_part_that_is_passed_on_is_stored_once() -> None:
    head = await new_task()
    appended = await write(head, MessageReceived(message_with()))
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
    assert len(stored_names()) == len(await contexts_of_files()) == 1
