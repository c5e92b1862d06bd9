"""The bridge from asynchronous code to the database: a few threads, each with one connection.

Django's own bridge gives every request a thread and that thread a connection, for as long as the
request lasts, and a stream lasts for hours. Here a unit of work borrows a thread for milliseconds.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections, router, transaction

from a2a_app import conf, models

P = ParamSpec("P")
T = TypeVar("T")

AWAY = (OperationalError, InterfaceError)
"""What is raised where the database does not answer, or has broken off a connection."""

_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def alias() -> str:
    """Name the database that the project's routers give to our models, all of them."""
    return router.db_for_write(models.Task)


def atomic() -> AbstractContextManager[None]:
    """Open a transaction on our database.

    Each begins with a write: one that read first could not become a writer on SQLite when another
    had written in between, however long it is told to wait.
    """
    return transaction.atomic(using=alias())


async def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do a unit of work on one of our threads and give its result.

    A caller that is cancelled stops waiting, but the work goes on to its end: whoever must know
    the outcome shields this call.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), partial(_with_connection, work, *args, **kwargs))


def close() -> None:
    """End the threads and their connections; the next unit of work starts new ones."""
    global _pool
    with _pool_lock:
        pool, _pool = _pool, None
    if pool is None:
        return
    # The barrier keeps each thread until all have come, so that none closes twice and none never.
    barrier = threading.Barrier(_thread_count())
    for _ in range(barrier.parties):
        pool.submit(_close_connections, barrier)
    pool.shutdown(wait=True)


def close_connection() -> None:
    """Close the connections of the thread that calls."""
    connections.close_all()


def _close_connections(barrier: threading.Barrier) -> None:
    barrier.wait(timeout=10)
    connections.close_all()


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        with _pool_lock:
            if _pool is None:
                _pool = ThreadPoolExecutor(_thread_count(), thread_name_prefix="a2a-database")
    return _pool


def _thread_count() -> int:
    configured = conf.current().database_threads
    return configured or (1 if connections[alias()].vendor == "sqlite" else 8)


def _with_connection(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return work(*args, **kwargs)
    finally:
        _tidy()


def _tidy() -> None:
    """Keep a good connection for the next unit of work, whatever CONN_MAX_AGE says of requests."""
    for connection in connections.all(initialized_only=True):
        pooled = bool(connection.settings_dict.get("OPTIONS", {}).get("pool"))
        broken = connection.errors_occurred and not connection.is_usable()
        if (pooled or broken) and not connection.in_atomic_block:
            connection.close()
        connection.errors_occurred = connection.errors_occurred and broken


def _forget_threads() -> None:
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


# A forked child has the parent's pool object but none of its threads.
os.register_at_fork(after_in_child=_forget_threads)
