"""Threads of the tests: one that leaves nothing open, and a process that may have no more."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Do work in a thread, close the thread's connections to databases, and return the result.

    Nobody else closes them. A collection of garbage would find them, and warn in whatever test
    runs at that time.
    """

    def do() -> T:
        try:
            return work(*args, **options)
        finally:
            connections.close_all()

    return await asyncio.to_thread(do)


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Let no thread be started inside the `with`: there is no room for its stack."""
    before = threading.stack_size(1 << 60)
    try:
        yield
    finally:
        threading.stack_size(before)
