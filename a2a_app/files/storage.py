"""The storage: where the bytes of files are, by Django's STORAGES."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")

FOLDER = "a2a_files"


def storage_of(alias: str) -> Storage:
    """Give a storage of the project's; empty: the folder that no URL leads to.

    Raises InvalidStorageError, an ImproperlyConfigured, where there is none of that alias.
    """
    if alias:
        return storages[alias]
    return FileSystemStorage(
        location=Path(getattr(settings, "BASE_DIR", ".")) / FOLDER,
        file_permissions_mode=0o600,
        directory_permissions_mode=0o700,
    )


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work on a storage, and give its result.

    Not on a thread of the database's: a storage may be far away, and slow.
    """

    def whole() -> T:
        try:
            return work(*args, **kwargs)
        finally:
            # A storage may be a table too, and the thread is anybody's.
            connections.close_all()

    return await asyncio.to_thread(whole)
