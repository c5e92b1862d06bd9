"""The storage of files, which Django's STORAGES configures."""

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


def get_storage(alias: str) -> Storage:
    """Return a storage of the project.

    Args:
        alias: Its alias in STORAGES. Empty: a folder to which no URL leads.

    Raises:
        InvalidStorageError: STORAGES has no such alias. It is an ImproperlyConfigured.
    """
    if alias:
        return storages[alias]
    return FileSystemStorage(
        location=Path(getattr(settings, "BASE_DIR", ".")) / FOLDER,
        file_permissions_mode=0o600,
        directory_permissions_mode=0o700,
    )


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work on a storage in a thread, and return its result.

    The threads for the database are not used, since a storage may be far away and slow.
    """

    def work_and_close() -> T:
        try:
            return work(*args, **kwargs)
        finally:
            # A storage may itself use the database, and this thread is shared with other code.
            connections.close_all()

    return await asyncio.to_thread(work_and_close)
