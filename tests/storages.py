"""Files of the tests: messages that have some, and the storages and rows that they end up in."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.core.files.storage import InMemoryStorage, storages

from a2a_app import database, models
from a2a_app.protocol import Message, Part, Role

LARGE = bytes(100_000)


class FailingStorage(InMemoryStorage):
    """Saves its first file under a name of its own, and fails at all others."""

    saved = 0

    def _save(self, name: str, content: Any) -> str:
        FailingStorage.saved += 1
        if FailingStorage.saved > 1:
            raise OSError("The disk is full.")
        own: str = super()._save(f"{name}.own", content)  # type: ignore[misc]  # not in the stubs
        return own


class HookedStorage(InMemoryStorage):
    """Does what a test wants before it saves a file."""

    before_saving: Callable[[], object] = staticmethod(lambda: None)

    def _save(self, name: str, content: Any) -> str:
        HookedStorage.before_saving()
        saved: str = super()._save(name, content)  # type: ignore[misc]  # not in the stubs
        return saved


def stored_names(alias: str = "memory") -> list[str]:
    """Return the names of all files in a storage."""
    found, waiting = [], [""]
    while waiting:
        folder = waiting.pop()
        folders, inside = storages[alias].listdir(folder)
        found += [f"{folder}{name}" for name in inside]
        waiting += [f"{folder}{name}/" for name in folders]
    return found


def message_with(*raws: bytes) -> Message:
    """Make a client's message with these bytes, or with more than a row takes."""
    parts = [Part(raw=raw) for raw in raws or (LARGE,)]
    return Message(message_id=str(uuid4()), role=Role.USER, parts=parts)


async def contexts_of_files() -> list[Any]:
    """Read the context of every row of a file; None where it is attached to nothing."""
    keys = models.File.objects.values_list("context", flat=True)
    return list(await database.run(lambda: list(keys)))
