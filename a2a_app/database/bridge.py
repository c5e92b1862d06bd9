"""The bridge from asynchronous code to the database: a few threads, each with one connection.

Django's own bridge holds a thread and a connection for as long as a request lasts, and a stream
lasts for hours. Here a unit of work borrows a thread for milliseconds.
"""

import asyncio
import atexit
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.apps import apps
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from a2a_app import conf
from a2a_app.concurrency.threads import Pool, Watch
from a2a_app.database import sockets
from a2a_app.database.away import (
    AwayError,
    Cause,
    cause_of,
    end_outage,
    is_unbegun,
    note_away,
    outage,
)

P = ParamSpec("P")
T = TypeVar("T")

APP = "a2a_app"
THREAD_NAME = "a2a-database"

# How long to wait before the database is tried again, once it did not answer.
RETRY_SECONDS = 0.5

# How long a process that ends waits for units of work.
CLOSE_SECONDS = 2.0

# How often work is done in all whose transaction has to give way to another one.
TRIES = 5

# After how long a connection is looked at before it is used again: firewalls, balancers and servers
# close one that is idle, and not all of them say so. One that says so is looked at much sooner.
IDLE_SECONDS = 2.0
PAUSE_SECONDS = 0.5

# As psycopg and Django number it.
_READ_COMMITTED = 2

# How statements begin that change nothing. Each of ours that begins otherwise does.
READS = ("SELECT", "SET", "BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")

# How many connections of ours were of no use. Each thread remembers of how many it has heard.
_failures = 0
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


async def run(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do a unit of work on one of our threads and return its result.

    A caller that is cancelled stops waiting, but the work goes on to its end. A caller that must
    know the outcome shields this call.

    Raises:
        AwayError: The database cannot serve for now. Besides that, whatever the work raises.
    """
    return await _threads().run(partial(run_here, partial(work, *args, **kwargs)))


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
    ours, limit = _own_connection(), conf.current().database_seconds
    with _watch.over(ours, min(seconds or limit, limit)):
        is_kept = _close_stale(ours)
        tries = 0
        while True:
            tries += 1
            try:
                return _attempt(work, ours)
            except AwayError as error:
                if tries == TRIES or not _may_repeat(error, is_kept=is_kept):
                    note_away(error)
                    raise
                is_kept = is_kept and error.cause is Cause.CONFLICT


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


def _interrupt(connection: Any) -> None:
    global _failures
    if sockets.interrupt(connection):
        _failures += 1
        silence = TimeoutError("a connection has passed nothing for DATABASE_SECONDS")
        note_away(AwayError(silence, Cause.BROKEN))


_watch = Watch(_interrupt, name="a2a-database-watch")


def _own_connection() -> BaseDatabaseWrapper:
    """Return this thread's connection; one to PostgreSQL has limits where the project has none."""
    ours: BaseDatabaseWrapper = connections[alias()]
    if getattr(_thread, "ours", None) is not ours:
        _thread.ours, _thread.statements = ours, _Statements(ours)
        if ours.vendor == "postgresql" and not _is_pooled(ours):
            options = {**sockets.limits(), **ours.settings_dict["OPTIONS"]}
            # Every change of ours is on a condition, which READ COMMITTED looks at again where
            # another transaction came first. A higher level would refuse the change.
            options["isolation_level"] = _READ_COMMITTED
            # A copy: other threads' connections have the project's own.
            ours.settings_dict = {**ours.settings_dict, "OPTIONS": options}
    return ours


class _Statements:
    """Watches the statements of a unit of work, as Django lets us wrap their execution."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        connection.execute_wrappers.append(self)

    def begin(self) -> None:
        """Begin a unit of work."""
        self._session = self._connection.connection
        self._have_begun = self._failed_in_vain = self.have_written = self.have_committed = False

    def __call__(self, execute: Callable[..., T], sql: str, *args: Any) -> T:
        is_read, self._have_begun = str(sql).startswith(READS), True
        is_in_transaction = self._connection.in_atomic_block
        try:
            result = execute(sql, *args)
        except Exception as error:
            # Outside a transaction, what writes may be committed though its answer was lost.
            self._failed_in_vain = is_read or is_in_transaction or is_unbegun(error)
            raise
        self.have_written = self.have_written or not is_read
        self.have_committed = self.have_committed or not (is_read or is_in_transaction)
        return result

    @property
    def are_of_a_lost_session(self) -> bool:
        """Whether the connection that the work began with is closed."""
        # Django may have opened another one already, to leave the transaction.
        return self._connection.connection is not self._session

    @property
    def can_be_repeated(self) -> bool:
        """Whether the work failed by its connection before anything may have happened."""
        in_vain = self._failed_in_vain and not self.have_written
        is_by_connection = self.are_of_a_lost_session or _is_pooled(self._connection)
        return is_by_connection and (in_vain or not self._have_begun)


def _attempt(work: Callable[[], T], ours: BaseDatabaseWrapper) -> T:
    _thread.connection = ours
    statements: _Statements = _thread.statements
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
        _thread.connection = None
        _tidy()
        _thread.used_at = time.monotonic()
    if outage.is_on:
        end_outage(has_written=statements.have_written)
    return result


def note_commit() -> None:
    """Note that the unit of work under way in this thread, if there is one, has committed."""
    statements: _Statements | None = getattr(_thread, "statements", None)
    if statements is not None:
        statements.have_committed = True


def _may_repeat(error: AwayError, *, is_kept: bool) -> bool:
    if error.cause is Cause.CONFLICT:
        statements: _Statements = _thread.statements
        return not statements.have_committed
    return is_kept and _note_failure()


def _note_failure() -> bool:
    """Note the failure of a kept connection, if it was one; tell whether to do the work again."""
    global _failures
    statements: _Statements = _thread.statements
    if statements.are_of_a_lost_session:
        _failures += 1
        _thread.failures = _failures  # this thread's connection is closed already
    return statements.can_be_repeated


def _give_up(connection: BaseDatabaseWrapper) -> None:
    """Close a connection, so that the next one goes where the settings lead now."""
    if _is_pooled(connection) and connection.connection is not None:
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
    known, _thread.failures = getattr(_thread, "failures", _failures), _failures
    now = time.monotonic()
    idle = now - getattr(_thread, "used_at", now)
    for each in connections.all(initialized_only=True):
        if each.connection is None:
            continue
        # Django's default, 0, is the age of a request, and there are no requests here.
        age_limit = each.close_at if each.settings_dict["CONN_MAX_AGE"] else None
        is_old = known != _failures or (age_limit is not None and now >= age_limit)
        is_doubtful = idle >= PAUSE_SECONDS and (idle >= IDLE_SECONDS or sockets.has_heard(each))
        if is_old or (is_doubtful and not each.is_usable()):
            each.close()
    return ours.connection is not None or _is_pooled(ours)


def _is_pooled(connection: Any) -> bool:
    return bool(connection.settings_dict.get("OPTIONS", {}).get("pool"))


def _tidy() -> None:
    """Leave a good connection open for the next unit of work, and close a broken or pooled one."""
    for connection in connections.all(initialized_only=True):
        broken = connection.errors_occurred and not connection.is_usable()
        if (broken or _is_pooled(connection)) and not connection.in_atomic_block:
            connection.close()
        connection.errors_occurred = connection.errors_occurred and broken


def _forget_threads() -> None:
    global _pool, _pool_lock, _watch
    _pool, _pool_lock = None, threading.Lock()
    _watch = Watch(_interrupt, name="a2a-database-watch")


# A forked child has its parent's pool and watch, and none of their threads.
os.register_at_fork(after_in_child=_forget_threads)
