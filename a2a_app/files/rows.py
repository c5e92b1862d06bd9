"""Files: the rows of what is in the storage, from before its bytes are there to after they went."""

import logging
from collections.abc import AsyncIterator, Collection, Sequence
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
from a2a_app.files import links, storage
from a2a_app.models.keys import new_key

logger = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
# From then on nothing will come that takes the file: what was to do so has died.
GIVEN_UP = timedelta(hours=1)
# Whoever stores files takes away so many of those given up: they do not gather.
PRUNED = 2


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that was opened, to be read once."""

    filename: str
    media_type: str
    size: int
    content: Any
    """The storage's file."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read it, a chunk at a time."""
        while piece := await storage.in_thread(self.content.read, CHUNK_BYTES):
            yield piece

    def close(self) -> None:
        """Let go of it."""
        self.content.close()


def new_file(*, filename: str, media_type: str, size: int) -> models.File:
    """Make the row of bytes that are to be stored, and choose where."""
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
    """Store rows before their bytes; to do so again, after an answer that was lost, is no harm.

    Gives some old rows that were never taken.
    """
    models.File.objects.bulk_create(rows, ignore_conflicts=True)
    old = models.File.objects.filter(context=None, created_at__lt=timezone.now() - GIVEN_UP)
    return list(old.order_by("created_at").values_list("pk", flat=True)[:PRUNED])


def save_bytes(row: models.File, raw: bytes) -> bool:
    """Put bytes into the storage; tells whether that gave them another name than the row has.

    On a storage's thread.
    """
    wanted = row.name
    row.name = storage.storage_of(row.storage).save(wanted, ContentFile(raw))
    return row.name != wanted


def rename_file(row: models.File) -> None:
    """Store the name that a storage has chosen."""
    models.File.objects.filter(pk=row.pk).update(name=row.name)


def attach_files(keys: Collection[UUID], *, context: UUID, task: UUID | None = None) -> None:
    """Give files their place, in the transaction that stores what they are a part of."""
    taken = models.File.objects.filter(pk__in=keys, context=None)
    if taken.update(context=context, task=task) != len(keys):
        raise RuntimeError("Files were given up before what they are a part of was stored.")


async def delete_unattached_later(keys: Collection[UUID]) -> None:
    """Delete files that nothing has taken; what cannot be deleted now, a later `begin` finds."""
    try:
        await storage.in_thread(delete_unattached, keys)
    except Exception:  # a storage may raise anything, and why it is given up is what counts
        logger.warning("Files that were given up are not deleted yet.", exc_info=True)


def delete_unattached(keys: Collection[UUID]) -> None:
    """Delete files that nothing has taken, and leave the others. On a storage's thread."""
    for key in keys:
        with database.atomic():
            # It changes nothing and holds the row: nobody takes the file any more.
            if models.File.objects.filter(pk=key, context=None).update(size=F("size")):
                models.File.objects.get(pk=key).delete()


def find_files(owner: str, keys: Collection[str]) -> dict[str, models.File]:
    """Find an owner's files by their ids, of which some may be nonsense."""
    wanted = [key for text in keys if (key := _key(text))]
    if not wanted:
        return {}
    found = models.File.objects.filter(pk__in=wanted, context__owner=owner)
    return {str(row.pk): row for row in found}


async def open_file(owner: str, key: str) -> OpenedFile:
    """Open a file of an owner's; raises LookupError where there is none of that id."""
    return await storage.in_thread(open_row, await database.run(_find, owner, key))


async def read_file(owner: str, url: str) -> bytes:
    """Read a whole file that a part's URL names; raises LookupError where it is none of theirs."""
    key = links.file_named_by(url, owner) or ""
    return await storage.in_thread(_read_row, await database.run(_find, owner, key))


def open_row(row: models.File) -> OpenedFile:
    """Open the file of a row; raises LookupError where the storage has lost it."""
    try:
        content = storage.storage_of(row.storage).open(row.name, "rb")
    except FileNotFoundError:
        logger.error("The storage %r has no file %r any more.", row.storage, row.name)
        raise LookupError(str(row.pk)) from None
    return OpenedFile(row.filename, row.media_type, row.size, content)


def _find(owner: str, key: str) -> models.File:
    found = find_files(owner, [key])
    if key not in found:
        raise LookupError(key)
    return found[key]


def _read_row(row: models.File) -> bytes:
    with closing(open_row(row)) as opened:
        content: bytes = opened.content.read()
        return content


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@receiver(post_delete, sender=models.File)
def _delete_with_row(instance: models.File, using: str, **_: object) -> None:
    """Delete the bytes with the last row that has them, once that is committed."""

    def delete_file() -> None:
        others = models.File.objects.using(using).filter(name=instance.name)
        if not others.filter(storage=instance.storage).exists():
            storage.storage_of(instance.storage).delete(instance.name)

    # Robust: where the storage is away the rest of what was to be done is done all the same.
    transaction.on_commit(delete_file, using=using, robust=True)
