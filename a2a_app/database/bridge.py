"""The bridge from asynchronous code to the database: a few threads, each with one connection.

Django's own bridge holds a thread and a connection for as long as a request lasts, and a stream
lasts for hours. Here a unit of work borrows a thread for milliseconds.
"""

import asyncio
import atexit
import logging
import math
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.apps import apps
from django.db import InterfaceError, OperationalError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from a2a_app import conf
from a2a_app.concurrency.outages import Outage
from a2a_app.concurrency.threads import Pool, Watch

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

AWAY = (OperationalError, InterfaceError)
"""The errors that say the database does not answer, or has broken off a connection."""

outage = Outage(logger, "The database")
"""The outage of the database, logged once, in place of a line for each piece of work that fails."""

APP = "a2a_app"
THREAD_NAME = "a2a-database"

# libpq's PQTRANS_ACTIVE: a command is under way.
_ACTIVE = 1

# How long to wait before the database is tried again, once it did not answer.
RETRY_SECONDS = 0.5

# How long a process that ends waits for units of work.
CLOSE_SECONDS = 2.0

# How many connections of ours have broken off, and how many were silent. Each thread remembers of
# how many it has heard.
_breaks = 0
_silences = 0
_thread = threading.local()
_pool: Pool | None = None
_pool_lock = threading.Lock()


def alias() -> str:
    """Return the alias of the database that the project's routers choose for all of our models."""
    return router.db_for_write(next(apps.get_app_config(APP).get_models()))


def connection() -> BaseDatabaseWrapper:
    """Return this thread's connection to our database."""
    # Django takes as long to find it as we for a small statement, and a unit of work asks often.
    ours: BaseDatabaseWrapper | None = getattr(_thread, "connection", None)
    return ours or connections[alias()]


def atomic() -> AbstractContextManager[None]:
    """Open a transaction on our database.

    Each must begin with a write. One that has read first cannot become a writer on SQLite once
    another has written in between, however long it is told to wait.
    """
    return transaction.atomic(using=alias())


def idle_limit() -> str:
    """Return the statement that makes PostgreSQL end a connection that leaves a transaction idle.

    Our transactions take milliseconds. One that has been idle for a lease belongs to a process that
    is frozen or cut off, and the processes that take over its work wait for the rows it holds.
    """
    milliseconds = max(1, int(conf.current().lease_seconds * 1000))
    return f"SET idle_in_transaction_session_timeout = {milliseconds}"


async def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do a unit of work on one of our threads and return its result.

    A caller that is cancelled stops waiting, but the work goes on to its end. A caller that must
    know the outcome shields this call.

    Raises:
        AWAY: The database does not answer. Besides that, whatever the work raises.
    """
    call = partial(_with_connection, work, *args, **kwargs)
    try:
        result = await _threads().run(call)
    except AWAY as error:
        outage.begin(error)
        raise
    if outage.is_on:
        outage.end()
    return result


async def run_until_answered(work: Callable[..., T], *, give_up: Callable[[], bool]) -> T:
    """Do a unit of work as `run` does; while the database is away, retry it for a lease.

    Args:
        work: Called with `is_retry`, which says whether it was done before and the connection broke
            before the answer came. What was committed then must not be committed twice.
        give_up: Called before each retry. True ends them: the work has become pointless.

    Raises:
        AWAY: The database has not answered for a lease. Besides that, whatever the work raises.
    """
    loop = asyncio.get_running_loop()
    until, is_retry = loop.time() + conf.current().lease_seconds, False
    while True:
        try:
            return await run(work, is_retry=is_retry)
        except AWAY:
            if give_up() or loop.time() >= until:
                raise
            is_retry = True
            await asyncio.sleep(RETRY_SECONDS)


def close() -> None:
    """End the threads and their connections once their work is done; later work starts new ones.

    Work that goes on for longer than CLOSE_SECONDS is not waited for.
    """
    global _pool
    with _pool_lock:
        pool, _pool = _pool, None
    if pool is not None:
        pool.close(CLOSE_SECONDS)


# Work that is under way as a process ends is brought to its end.
atexit.register(close)


def close_connection() -> None:
    """Close the connections of the thread that calls."""
    connections.close_all()


def _threads() -> Pool:
    global _pool
    if _pool is None:
        with _pool_lock:
            if _pool is None:
                _pool = Pool(_thread_count(), name=THREAD_NAME, at_end=connections.close_all)
    return _pool


def _thread_count() -> int:
    configured = conf.current().database_threads
    return configured or (1 if connections[alias()].vendor == "sqlite" else 8)


def _with_connection(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    ours = _own_connection()
    with watched():
        _replace_broken()
        _thread.connection = ours
        try:
            return work(*args, **kwargs)
        finally:
            _thread.connection = None
            _tidy()


def watched(seconds: float | None = None) -> AbstractContextManager[None]:
    """Watch over work that the calling thread does with its connection to our database.

    A connection that stays open and passes nothing, as after a failover, would hold the thread for
    hours. PostgreSQL's is closed once the work has taken so long, and the work raises one of AWAY.
    Other databases have limits of their own.

    Args:
        seconds: How long the work may take. None: DATABASE_SECONDS.
    """
    limit = conf.current().database_seconds
    return _watch.over(connections[alias()], min(seconds or limit, limit))


def _interrupt(connection: Any) -> None:
    """Close the socket of another thread's connection, if the thread is waiting for an answer."""
    global _silences
    # While a connection is being opened there is none yet; `connect_timeout` is its limit.
    driver = connection.connection
    if connection.vendor != "postgresql" or driver is None:
        return
    with suppress(OSError, connection.Database.Error):  # it is closed meanwhile
        if driver.pgconn.transaction_status != _ACTIVE:
            return
        with socket.socket(fileno=os.dup(driver.pgconn.socket)) as silent:
            silent.shutdown(socket.SHUT_RDWR)
        _silences += 1
        outage.begin(TimeoutError("a connection has passed nothing for DATABASE_SECONDS"))


_watch = Watch(_interrupt, name="a2a-database-watch")


def _own_connection() -> BaseDatabaseWrapper:
    """Return this thread's connection; one to PostgreSQL has limits where the project has none."""
    ours: BaseDatabaseWrapper = connections[alias()]
    if getattr(_thread, "limited", None) is not ours:
        _thread.limited = ours
        if ours.vendor == "postgresql" and not _is_pooled(ours):
            options = {**_limits(), **ours.settings_dict["OPTIONS"]}
            # A copy: other threads' connections have the project's own.
            ours.settings_dict = {**ours.settings_dict, "OPTIONS": options}
    return ours


def _limits() -> dict[str, int]:
    """Return libpq's parameters by which a silent network becomes an error within seconds."""
    seconds = math.ceil(conf.current().database_seconds)
    return {
        "connect_timeout": max(2, seconds),  # libpq knows none below
        "tcp_user_timeout": seconds * 1000,
        "keepalives_idle": max(2, seconds),
        "keepalives_interval": max(1, seconds // 3),
        "keepalives_count": 3,
    }


def _replace_broken() -> None:
    """Replace this thread's connection if it broke off, once another thread's has.

    A database that was restarted has broken off all of them, and each would fail a unit of work.
    Where one was silent the others are closed unasked, since they would not answer either.
    """
    heard, _thread.silences = getattr(_thread, "silences", _silences), _silences
    if heard != _silences:
        close_connection()
    known, _thread.breaks = getattr(_thread, "breaks", _breaks), _breaks
    if known == _breaks:
        return
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.is_usable():
            connection.close()


def _limit_idle_transactions(connection: Any, **_: object) -> None:
    # A pooled connection is the project's too, and so are its settings.
    ours = threading.current_thread().name.startswith(THREAD_NAME) and not _is_pooled(connection)
    if ours and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(idle_limit())


connection_created.connect(_limit_idle_transactions)


def _is_pooled(connection: Any) -> bool:
    return bool(connection.settings_dict.get("OPTIONS", {}).get("pool"))


def _tidy() -> None:
    """Leave a good connection open for the next unit of work, and close a broken or pooled one."""
    global _breaks
    for connection in connections.all(initialized_only=True):
        broken = connection.errors_occurred and not connection.is_usable()
        if (broken or _is_pooled(connection)) and not connection.in_atomic_block:
            connection.close()
        _breaks += broken
        connection.errors_occurred = connection.errors_occurred and broken


def _forget_threads() -> None:
    global _pool, _pool_lock, _watch
    _pool, _pool_lock = None, threading.Lock()
    _watch = Watch(_interrupt, name="a2a-database-watch")


# A forked child has its parent's pool and watch, and none of their threads.
os.register_at_fork(after_in_child=_forget_threads)
