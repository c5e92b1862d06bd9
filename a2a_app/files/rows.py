"""Files: the rows of the bytes in a storage. A row is stored before its bytes and outlives them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import F
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone

from a2a_app import conf, database, models
from a2a_app.database.values import new_key
from a2a_app.files import links, storage

logger = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
# The age at which a file that is not attached is deleted. By then no process will attach it.
ABANDONED_AFTER = timedelta(hours=1)
# Each time files are stored, so many abandoned ones are deleted: they do not gather.
PRUNE_LIMIT = 2


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is open, to be read once."""

    filename: str
    media_type: str
    size: int
    content: Any
    """The open file of the storage."""
    agent: str
    """The slug of the agent whose task or conversation it belongs to."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the file in chunks."""
        while piece := await storage.run_in_thread(self.content.read, CHUNK_BYTES):
            yield piece

    def chunks_here(self) -> Iterator[bytes]:
        """Read the file in chunks, in the thread that calls."""
        while piece := self.content.read(CHUNK_BYTES):
            yield piece

    def close(self) -> None:
        """Close the file of the storage."""
        self.content.close()


def new_file(*, filename: str, media_type: str, size: int) -> models.File:
    """Make the row of bytes that are to be stored, and choose their storage and name."""
    key = new_key()
    return models.File(
        pk=key,
        storage=conf.current().storage,
        name=f"a2a/{timezone.now():%Y/%m/%d}/{key.hex}",
        filename=filename,
        media_type=media_type,
        size=size,
    )


def insert_files(rows: Sequence[models.File]) -> list[UUID]:
    """Store rows before their bytes, and return the ids of some abandoned files.

    It may be called again with the same rows, where the answer of the database was lost.
    """
    with database.atomic():
        models.File.objects.bulk_create(rows, ignore_conflicts=True)
    old = models.File.objects.filter(context=None, created_at__lt=timezone.now() - ABANDONED_AFTER)
    return list(old.order_by("created_at").values_list("pk", flat=True)[:PRUNE_LIMIT])


def save_bytes(row: models.File, raw: bytes) -> bool:
    """Save bytes in the storage; return whether it gave them another name than the row has.

    Call it in a thread for storages.
    """
    wanted = row.name
    row.name = storage.get_storage(row.storage).save(wanted, ContentFile(raw))
    return row.name != wanted


def rename_file(row: models.File) -> None:
    """Store the name that the storage has chosen."""
    models.File.objects.filter(pk=row.pk).update(name=row.name)


def attach_files(keys: Collection[UUID], *, context: UUID, task: UUID | None = None) -> None:
    """Attach files to a context and task, in the transaction that stores what they are part of."""
    unattached = models.File.objects.filter(pk__in=keys, context=None)
    if unattached.update(context=context, task=task) != len(keys):
        raise RuntimeError(
            "Files were deleted as abandoned before their message or artifact was stored."
        )


async def try_to_delete_unattached(keys: Collection[UUID]) -> None:
    """Delete files that are not attached. After a failure, which is logged, it is tried later."""
    try:
        await storage.run_in_thread(delete_unattached, keys)
    except Exception:  # a storage may raise anything; the error that made us delete matters more
        logger.warning("Abandoned files are not deleted yet.", exc_info=True)


def delete_unattached(keys: Collection[UUID]) -> None:
    """Delete those of the files that are not attached. Call it in a thread for storages."""
    for key in keys:
        with database.atomic():
            # It changes nothing but locks the row, so that the file cannot be attached any more.
            if models.File.objects.filter(pk=key, context=None).update(size=F("size")):
                models.File.objects.get(pk=key).delete()


def find_files(owner: str, keys: Collection[str]) -> dict[str, models.File]:
    """Find an owner's files by their ids; those that are no UUIDs are ignored."""
    uuids = [uuid for key in keys if (uuid := _uuid_or_none(key))]
    if not uuids:
        return {}
    rows = models.File.objects.filter(pk__in=uuids, context__owner=owner).select_related("context")
    return {str(row.pk): row for row in rows}


async def open_file(owner: str, key: str) -> OpenedFile:
    """Open a file of an owner; raises LookupError if the owner has none with that id."""
    return await storage.run_in_thread(open_row, await database.read(_find, owner, key))


async def read_file(
    owner: str, url: str, *, read: Callable[..., Awaitable[models.File]] = database.read
) -> bytes:
    """Read a whole file by the URL of a part; raises LookupError if the owner has no such file.

    Args:
        owner: The owner.
        url: The URL.
        read: Does a unit of work that changes nothing.
    """
    key = links.file_id_in_url(url, owner) or ""
    return await storage.run_in_thread(_read_row, await read(_find, owner, key))


def open_row(row: models.File) -> OpenedFile:
    """Open the file of a row; raises LookupError if the storage has lost it."""
    try:
        content = storage.get_storage(row.storage).open(row.name, "rb")
    except FileNotFoundError:
        logger.error("The storage %r has no file %r any more.", row.storage, row.name)
        raise LookupError(str(row.pk)) from None
    agent = row.context.agent if row.context else ""
    return OpenedFile(row.filename, row.media_type, row.size, content, agent)


def _find(owner: str, key: str) -> models.File:
    found = find_files(owner, [key])
    if key not in found:
        raise LookupError(key)
    return found[key]


def _read_row(row: models.File) -> bytes:
    with closing(open_row(row)) as opened:
        content: bytes = opened.content.read()
        return content


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@receiver(post_delete, sender=models.File)
def _delete_with_row(instance: models.File, using: str, **_: object) -> None:
    """Delete the bytes with the last row that has them, once its deletion is committed."""

    def delete_file() -> None:
        others = models.File.objects.using(using).filter(name=instance.name)
        if not others.filter(storage=instance.storage).exists():
            storage.get_storage(instance.storage).delete(instance.name)

    # Robust: if the storage fails, the other callbacks of the commit are called all the same.
    transaction.on_commit(delete_file, using=using, robust=True)
