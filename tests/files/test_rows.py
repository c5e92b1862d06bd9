"""Files in the storage: each has a row in any case, and none stays behind (R6)."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import InMemoryStorage
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.files import storage
from a2a_app.files.links import reference
from a2a_app.files.rows import ABANDONED_AFTER, read_file, try_to_delete_unattached
from a2a_app.store.task_head import TaskHead, read_task_head
from a2a_app.store.updates import MessageReceived, Update
from a2a_app.store.writes.append import append
from a2a_app.store.writes.attachments import StoredAttachments, with_attachments
from a2a_app.store.writes.writer import write
from tests.storages import LARGE, contexts_of_files, message_with, stored_names
from tests.tasks import begin

pytestmark = pytest.mark.usefixtures("runtime", "reconnecting", "empty_storages")

SECONDS = 20


async def new_task() -> TaskHead:
    return (await database.run(begin)).head


async def test_a_name_that_the_storage_chooses_is_the_rows(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": "failing"}
    await write(await new_task(), MessageReceived(message_with()))
    row = await database.run(models.File.objects.get)
    assert [row.name] == stored_names("failing")
    assert row.name.endswith(".own")
    assert await read_file("", reference(row.pk)) == LARGE


async def test_files_that_were_abandoned_cannot_be_attached_any_more() -> None:
    head = await new_task()
    async with StoredAttachments[Update]([MessageReceived(message_with())], owner="") as stored:
        await try_to_delete_unattached(stored.keys)
        with pytest.raises(RuntimeError, match="as abandoned"):
            await database.run(append, head, with_attachments(stored))
    assert (await database.run(lambda: read_task_head(head.task_id))).seq == 1


async def test_files_that_are_attached_are_not_deleted_as_abandoned() -> None:
    async with StoredAttachments[Update]([MessageReceived(message_with())], owner="") as stored:
        await database.run(append, await new_task(), with_attachments(stored))
        await try_to_delete_unattached(stored.keys)
    assert len(stored_names()) == len(await contexts_of_files()) == 1


async def test_a_file_that_a_crash_left_behind_is_deleted_when_it_is_old() -> None:
    head = await new_task()
    for _ in range(3):
        async with StoredAttachments([message_with()], owner=""):
            pass  # and nothing attaches it
    assert len(stored_names()) == 3
    await write(head, MessageReceived(message_with()))
    assert len(stored_names()) == 4
    long_ago = timezone.now() - ABANDONED_AFTER - timedelta(seconds=1)
    await database.run(lambda: models.File.objects.filter(context=None).update(created_at=long_ago))
    for left in (3, 3):
        # One more file each time; of the three that are old, two go with the first, and then one.
        await write(head, MessageReceived(message_with()))
        assert len(stored_names()) == left
    assert None not in await contexts_of_files()


async def test_a_file_goes_with_its_row_and_not_before_that_is_committed() -> None:
    head = await new_task()
    await write(head, MessageReceived(message_with()))

    def delete(rolls_back: bool) -> None:
        with transaction.atomic():
            models.Context.objects.get().delete()
            assert len(stored_names()) == 1
            transaction.set_rollback(rolls_back)

    await database.run(lambda: delete(True))
    assert len(stored_names()) == len(await contexts_of_files()) == 1
    await database.run(lambda: delete(False))
    assert stored_names() == [] and await contexts_of_files() == []


async def test_a_storage_that_does_not_delete_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    head = await new_task()
    await write(head, MessageReceived(message_with()))

    def refuse(self: InMemoryStorage, name: str) -> None:
        raise OSError("It is away.")

    monkeypatch.setattr(InMemoryStorage, "delete", refuse)
    await database.run(lambda: models.Task.objects.get().delete())
    assert await contexts_of_files() == []
    assert "It is away." in caplog.text


async def test_the_default_folder_is_the_projects_and_for_nobody_else(
    settings: Settings, tmp_path: Path
) -> None:
    settings.A2A = {**settings.A2A, "STORAGE": ""}
    settings.BASE_DIR = tmp_path
    await write(await new_task(), MessageReceived(message_with()))
    row = await database.run(models.File.objects.get)
    path = tmp_path / storage.FOLDER / row.name
    assert path.read_bytes() == LARGE
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
