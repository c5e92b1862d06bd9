"""The bridge from asynchronous code to the database: a few threads, each with one connection.

Django's own bridge holds a thread and a connection for as long as a request lasts, and a stream
lasts for hours. Here a unit of work borrows a thread for milliseconds.
"""

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from a2a_app import conf
from a2a_app.concurrency.threads import Pool, Watch
from a2a_app.database import sockets
from a2a_app.database.away import AwayError, Cause, cause_of, end_outage, note_away, outage
from a2a_app.database.transactions import (
    TRIES,
    Statements,
    alias,
    is_pooled,
    pause_after_conflict,
    this_thread,
)

P = ParamSpec("P")
T = TypeVar("T")

THREAD_NAME = "a2a-database"

# How long to wait before the database is tried again, once it did not answer.
RETRY_SECONDS = 0.5
# How long a process that ends waits for units of work.
CLOSE_SECONDS = 2.0
# After how long a connection is looked at before it is used again: firewalls, balancers and servers
# close one that is idle, and not all of them say so. One that says so is looked at much sooner.
IDLE_SECONDS = 2.0
PAUSE_SECONDS = 0.5
# As psycopg and Django number it.
_READ_COMMITTED = 2


class _Pools(NamedTuple):
    """The threads of this process, by what they do."""

    reading: Pool
    writing: Pool
    """The same, unless one that reads would wait there for one that writes."""


class Performer(Protocol):
    """Does units of work in place of `run_here`."""

    def __call__(self, work: Callable[[], T]) -> T:
        """Do a unit of work in the thread that calls; return its result, or raise its error."""


# Does all units of work, where there is one.
_performer: Performer | None = None

# How many connections of ours were of no use. Each thread remembers of how many it has heard.
_failures = 0
_pools: _Pools | None = None
_pools_lock = threading.Lock()


async def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do a unit of work on one of our threads and return its result.

    A caller that is cancelled stops waiting, but the work goes on to its end. A caller that must
    know the outcome shields this call.

    Raises:
        AwayError: The database cannot serve for now. Besides that, whatever the work raises.
    """
    return await _threads().writing.run(partial(run_here, partial(work, *args, **kwargs)))


async def read(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do a unit of work that changes nothing, as `run` does.

    SQLite has one writer, which may wait for that of another process for seconds. With a
    write-ahead log no reader has to wait for either, and so readers have a thread of their own.
    """
    return await _threads().reading.run(partial(run_here, partial(work, *args, **kwargs)))


def run_here(work: Callable[[], T], *, seconds: float | None = None) -> T:
    """Do a unit of work in the thread that calls, as `run` does on one of ours.

    Where a connection that was kept turns out to be of no use before anything of the work may have
    happened, the work is done again on a new one, once. Where another transaction came first, it is
    done again too, up to TRIES times in all, if nothing of it is committed. PostgreSQL's connection
    is closed where it stays open and passes nothing, as after a failover; other databases have
    limits of their own.

    Args:
        work: The work.
        seconds: How long it may take until its connection counts as silent. None, or more than
            DATABASE_SECONDS: so long.

    Raises:
        AwayError: The database cannot serve for now. Besides that, whatever the work raises.
    """
    if _performer is not None:
        return _performer(work)
    statements, limit = _own_statements(), conf.current().database_seconds
    ours = statements.connection
    with _watch.over(ours, min(seconds or limit, limit)):
        is_kept = _close_stale(ours)
        tries = 0
        while True:
            tries += 1
            try:
                return _attempt(work, statements)
            except AwayError as error:
                if tries == TRIES or not _may_repeat(error, statements, is_kept=is_kept):
                    note_away(error)
                    raise
                if error.cause is Cause.CONFLICT:
                    pause_after_conflict(tries)
                else:
                    is_kept = False


@contextmanager
def performed_by(performer: Performer) -> Iterator[None]:
    """Have all units of work of this process done by a performer, inside the `with`.

    It is for tests, whose transaction is that of one connection. No connection is looked at before
    a unit of work then, and no unit of work is done again.
    """
    global _performer
    outer, _performer = _performer, performer
    try:
        yield
    finally:
        _performer = outer


async def run_until_answered(work: Callable[..., T], *, give_up: Callable[[], bool]) -> T:
    """Do a unit of work as `run` does; while the database is away, retry it for a lease.

    Args:
        work: Called with `is_retry`, which says whether it was done before and the connection broke
            before the answer came. What was committed then must not be committed twice.
        give_up: Called before each retry. True ends them: the work has become pointless.

    Raises:
        AwayError: The database was away for a lease. Besides that, whatever the work raises.
    """
    loop = asyncio.get_running_loop()
    until, is_retry = loop.time() + conf.current().lease_seconds, False
    while True:
        try:
            return await run(work, is_retry=is_retry)
        except AwayError:
            if give_up() or loop.time() >= until:
                raise
            is_retry = True
            await asyncio.sleep(RETRY_SECONDS)


def is_idle() -> bool:
    """Tell whether no unit of work is under way in the threads."""
    return all(pool.is_idle for pool in _pools or ())


def close() -> None:
    """End the threads and their connections once their work is done; later work starts new ones.

    Work that goes on for longer than CLOSE_SECONDS is not waited for.
    """
    global _pools
    with _pools_lock:
        pools, _pools = _pools, None
    until = time.monotonic() + CLOSE_SECONDS
    for pool in dict.fromkeys(pools or ()):
        pool.close(max(0.0, until - time.monotonic()))


# Work that is under way as a process ends is brought to its end.
atexit.register(close)


def close_connection() -> None:
    """Close the connections of the thread that calls."""
    connections.close_all()


def _threads() -> _Pools:
    global _pools
    if _pools is None:
        with _pools_lock:
            if _pools is None:
                _pools = _make_pools(connections[alias()])
    return _pools


def _make_pools(ours: Any) -> _Pools:
    is_sqlite = ours.vendor == "sqlite"
    count = conf.current().database_threads or (1 if is_sqlite else 8)
    pool = Pool(count, name=THREAD_NAME, at_start=_connect, at_end=connections.close_all)
    # In memory there is no write-ahead log, and others cannot even wait for what one writes.
    if not is_sqlite or ours.is_in_memory_db():
        return _Pools(pool, pool)
    name = f"{THREAD_NAME}-reader"
    return _Pools(Pool(count, name=name, at_start=_only_read, at_end=connections.close_all), pool)


def _only_read() -> None:
    this_thread.only_reads = True
    _connect()


def _connect() -> None:
    """Open this thread's connection before it takes work, which others may do meanwhile."""
    if _performer is None:  # else the work is done over a connection of the performer's
        with suppress(Exception):  # the first unit of work tries again, and raises it
            run_here(lambda: _own_statements().connection.ensure_connection())


def _interrupt(connection: Any) -> None:
    global _failures
    if sockets.interrupt(connection):
        _failures += 1
        silence = TimeoutError("a connection has passed nothing for DATABASE_SECONDS")
        note_away(AwayError(silence, Cause.BROKEN))


_watch = Watch(_interrupt, name="a2a-database-watch")


def _own_statements() -> Statements:
    """Return what watches this thread's connection, whose options are made ours before its use."""
    ours: BaseDatabaseWrapper = connections[alias()]
    statements = this_thread.statements
    if statements is None or statements.connection is not ours:
        statements = this_thread.statements = Statements(ours)
        # A copy: other threads' connections have the project's own.
        ours.settings_dict = {**ours.settings_dict, "OPTIONS": _options(ours)}
    return statements


def _options(ours: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return the project's options of a connection, with what ours has besides."""
    given: dict[str, Any] = ours.settings_dict["OPTIONS"]
    if this_thread.only_reads:
        # SQLite refuses a write then. It would wait here for other writers, and readers behind it.
        return {**given, "init_command": f"{given.get('init_command', '')}; PRAGMA query_only = ON"}
    if ours.vendor != "postgresql" or is_pooled(ours):
        return given
    # Limits where the project has none. The level is that of `atomic`, for the transactions that
    # Django opens by itself.
    return {**sockets.limits(), **given, "isolation_level": _READ_COMMITTED}


def _attempt(work: Callable[[], T], statements: Statements) -> T:
    ours = this_thread.connection = statements.connection
    statements.begin()
    try:
        result = work()
    except Exception as error:
        cause = cause_of(error)
        if cause is None:
            raise
        if cause is Cause.READ_ONLY:
            _give_up(ours)
        raise AwayError(error, cause) from error
    finally:
        this_thread.connection = None
        _tidy()
        this_thread.used_at = time.monotonic()
    if outage.is_on:
        end_outage(has_written=statements.have_written)
    return result


def _may_repeat(error: AwayError, statements: Statements, *, is_kept: bool) -> bool:
    if error.cause is Cause.CONFLICT:
        return not statements.have_committed
    return is_kept and _note_failure(statements)


def _note_failure(statements: Statements) -> bool:
    """Note the failure of a kept connection, if it was one; tell whether to do the work again."""
    global _failures
    if statements.are_of_a_lost_session:
        _failures += 1
        this_thread.failures = _failures  # this thread's connection is closed already
    return statements.can_be_repeated


def _give_up(connection: BaseDatabaseWrapper) -> None:
    """Close a connection, so that the next one goes where the settings lead now."""
    if is_pooled(connection) and connection.connection is not None:
        connection.connection.close()  # the pool would hand it out again
    connection.close()


def _close_stale(ours: BaseDatabaseWrapper) -> bool:
    """Close connections of this thread that must not, or cannot, be used any more.

    These are those that are older than CONN_MAX_AGE, those that ended while they were idle, and all
    once one has failed: a database that was restarted or demoted has ended or spoilt every one, and
    each would fail a unit of work.

    Returns:
        Whether our connection is one that was used before, as one from a pool may be.
    """
    known = _failures if this_thread.failures is None else this_thread.failures
    this_thread.failures = _failures
    now = time.monotonic()
    idle = 0.0 if this_thread.used_at is None else now - this_thread.used_at
    for each in connections.all(initialized_only=True):
        if each.connection is None:
            continue
        # Django's default, 0, is the age of a request, and there are no requests here.
        age_limit = each.close_at if each.settings_dict["CONN_MAX_AGE"] else None
        is_old = known != _failures or (age_limit is not None and now >= age_limit)
        is_doubtful = idle >= PAUSE_SECONDS and (idle >= IDLE_SECONDS or sockets.has_heard(each))
        if is_old or (is_doubtful and not each.is_usable()):
            each.close()
    return ours.connection is not None or is_pooled(ours)


def _tidy() -> None:
    """Leave a good connection open for the next unit of work, and close a broken or pooled one."""
    for connection in connections.all(initialized_only=True):
        broken = connection.errors_occurred and not connection.is_usable()
        if (broken or is_pooled(connection)) and not connection.in_atomic_block:
            connection.close()
        connection.errors_occurred = connection.errors_occurred and broken


def _forget_threads() -> None:
    global _pools, _pools_lock, _watch
    _pools, _pools_lock = None, threading.Lock()
    _watch = Watch(_interrupt, name="a2a-database-watch")


# A forked child has its parent's pool and watch, and none of their threads.
os.register_at_fork(after_in_child=_forget_threads)
