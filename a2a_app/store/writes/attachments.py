"""Attachments: bytes too large for a row, stored before the message or update that has them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from a2a_app import conf, database, models, protocol
from a2a_app.files import storage
from a2a_app.files.links import file_id_in_url, reference
from a2a_app.files.rows import (
    find_files,
    insert_files,
    new_file,
    rename_file,
    save_bytes,
    try_to_delete_unattached,
)
from a2a_app.protocol import Part
from a2a_app.store.refusals import UnknownFileError
from a2a_app.store.updates import (
    ArtifactUpdate,
    FilesAttached,
    MessageReceived,
    StatusUpdate,
    Update,
)

T = TypeVar("T", bound=Update | protocol.Message)


class StoredAttachments(Generic[T]):
    """Updates or messages whose large bytes, and links to files, have become references to files.

    An asynchronous context manager. Inside it, one transaction stores `items` and attaches the
    files of `keys` to them. If that fails, the files are deleted.
    """

    def __init__(
        self,
        items: Sequence[T],
        *,
        owner: str,
        task_id: UUID | None = None,
        run: Callable[..., Awaitable[Any]] = database.run,
    ) -> None:
        """Prepare to store items.

        Args:
            items: The updates or messages.
            owner: The owner whose files they may name.
            task_id: The task that the files become part of; None: no task.
            run: Does a unit of database work.
        """
        self.items = list(items)
        self.keys: tuple[UUID, ...] = ()
        self._owner = owner
        self._task_id = task_id
        self._run = run
        self._rows: list[models.File] = []
        self._contents: list[tuple[models.File, bytes]] = []

    async def __aenter__(self) -> "StoredAttachments[T]":
        """Store the files; raise UnknownFileError, or whatever the storage raises."""
        limit = conf.current().raw_limit
        for item in self.items:
            for part in _parts(item):
                if part.url is not None or _is_large(part, limit):
                    await self._store(limit)
                    return self
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A caller that is cancelled does not know what becomes of the transaction. If the files
        # stay unattached, a later caller deletes them.
        if self.keys and isinstance(error, Exception):
            await try_to_delete_unattached(self.keys)

    @property
    def size(self) -> int:
        """How many bytes the files of `keys` have."""
        return sum(row.size for row in self._rows)

    async def _store(self, limit: int) -> None:
        parts = [part for item in self.items for part in _parts(item)]
        urls = {part.url for part in parts if part.url is not None}
        named = {url: key for url in urls if (key := file_id_in_url(url, self._owner)) is not None}
        found = await self._run(find_files, self._owner, named.values()) if named else {}
        known = {url: found.get(key) for url, key in named.items()}
        self.items = [
            _with_parts(item, [self._part(part, item, known, limit) for part in _parts(item)])
            for item in self.items
        ]
        if not self._rows:
            return
        old = await self._run(insert_files, self._rows)
        self.keys = tuple(row.pk for row in self._rows)
        try:
            for row, raw in self._contents:
                if await storage.run_in_thread(save_bytes, row, raw):
                    await self._run(rename_file, row)
        except Exception:
            await try_to_delete_unattached(self.keys)
            raise
        self._contents.clear()
        if old:
            await try_to_delete_unattached(old)

    def _part(
        self, part: Part, item: T, known: Mapping[str, models.File | None], limit: int
    ) -> Part:
        if part.raw is not None and _is_large(part, limit):
            row = self._new_row(part, len(part.raw))
            self._contents.append((row, part.raw))
        elif part.url is not None and part.url in known:
            first = known[part.url]
            if first is None:
                raise UnknownFileError(item, _parts(item).index(part))
            is_its_own = first.task_id is not None and first.task_id == self._task_id
            row = first if is_its_own else self._another_row(part, first)
        else:
            return part
        return part.model_copy(update={"raw": None, "url": reference(row.pk)})

    def _new_row(self, part: Part, size: int) -> models.File:
        row = new_file(filename=part.filename, media_type=part.media_type, size=size)
        self._rows.append(row)
        return row

    def _another_row(self, part: Part, first: models.File) -> models.File:
        """Make another row for bytes that are stored: a task may be deleted before another one."""
        row = self._new_row(part, first.size)
        row.storage, row.name = first.storage, first.name
        row.filename = part.filename or first.filename
        row.media_type = part.media_type or first.media_type
        return row


def with_attachments(stored: StoredAttachments[Update]) -> list[Update]:
    """Return the updates together with the one that attaches their files."""
    if not stored.keys:
        return stored.items
    return [FilesAttached(stored.keys, stored.size), *stored.items]


def _is_large(part: Part, limit: int) -> bool:
    return part.raw is not None and 0 < limit < len(part.raw)


def _parts(item: Update | protocol.Message) -> Sequence[Part]:
    match item:
        case ArtifactUpdate():
            return item.artifact.parts
        case MessageReceived() | StatusUpdate():
            return item.message.parts if item.message else ()
        case protocol.Message():
            return item.parts
        case _:
            return ()


def _with_parts(item: T, parts: list[Part]) -> T:
    changed: Any = item
    if not parts:
        return item
    match changed:
        case ArtifactUpdate():
            artifact = changed.artifact.model_copy(update={"parts": parts})
            changed = replace(changed, artifact=artifact)
        case protocol.Message():
            changed = changed.model_copy(update={"parts": parts})
        case _:
            changed = replace(changed, message=_with_parts(changed.message, parts))
    return cast("T", changed)
