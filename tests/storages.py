"""Storages of files: one that fails, and what is in one."""

from typing import Any

from django.core.files.storage import InMemoryStorage, storages


class FailingStorage(InMemoryStorage):
    """Saves its first file under a name of its own, and fails at all others."""

    saved = 0

    def _save(self, name: str, content: Any) -> str:
        FailingStorage.saved += 1
        if FailingStorage.saved > 1:
            raise OSError("The disk is full.")
        own: str = super()._save(f"{name}.own", content)  # type: ignore[misc]  # not in the stubs
        return own


def stored_names(alias: str = "memory") -> list[str]:
    """Return the names of all files in a storage."""
    found, waiting = [], [""]
    while waiting:
        folder = waiting.pop()
        folders, inside = storages[alias].listdir(folder)
        found += [f"{folder}{name}" for name in inside]
        waiting += [f"{folder}{name}/" for name in folders]
    return found
