"""Transactions on our database, in the connection of the thread that calls, and what they commit.

Whoever does a unit of work again has to know whether something of it may be committed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import uniform
from time import sleep
from typing import Any, TypeVar

from django.apps import apps
from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionDoesNotExist

from a2a_app import conf
from a2a_app.database.away import Cause, cause_of, is_unbegun

T = TypeVar("T")

APP = "a2a_app"

# What the app works on, and how Django calls a project's database where it has none.
_VENDORS, _NONE = ("postgresql", "sqlite"), "unknown"

# How often work is done in all whose transaction has to give way to another one.
TRIES = 5

# How many seconds it waits before that, at most; each further time twice as many.
CONFLICT_PAUSE = 0.01

# How statements begin that change nothing. Each of ours that begins otherwise does.
READS = ("SELECT", "SET", "BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")


class ThisThread(threading.local):
    """What each thread has of its own."""

    connection: BaseDatabaseWrapper | None = None
    """Our connection, while a unit of work is under way."""
    statements: "Statements | None" = None
    """What watches the statements of our connection, once there has been a unit of work."""
    used_at: float | None = None
    """When our connection was last used, on the monotonic clock."""
    failures: int | None = None
    """Of how many connections the thread has heard that they were of no use."""
    only_reads = False
    """Whether the thread does only work that changes nothing."""


this_thread = ThisThread()


def alias() -> str:
    """Return the alias of the database that the project's routers choose for all of our models."""
    return router.db_for_write(next(apps.get_app_config(APP).get_models()))


def connection() -> BaseDatabaseWrapper:
    """Return this thread's connection to our database."""
    # Django takes as long to find it as we for a small statement, and a unit of work asks often.
    return this_thread.connection or connections[alias()]


def find_fault() -> str:
    """Return why our database, or its driver, is none that the app can work on; empty: it is one.

    It does not connect.
    """
    try:
        ours: Any = connections[alias()]
    except ConnectionDoesNotExist:
        return ""  # each query says so
    if ours.vendor == "postgresql" and ours.Database.__name__ == "psycopg2":
        return "The app needs psycopg 3 for PostgreSQL, and the project has psycopg2."
    if ours.vendor in (*_VENDORS, _NONE):
        return ""
    engine = ours.settings_dict["ENGINE"]
    return (
        f"The app does not work on the database of {engine!r}. It needs INSERT ... ON CONFLICT, "
        "unique indexes on some of the rows and foreign keys that are checked at the end of a "
        "transaction, as PostgreSQL and SQLite have them."
    )


@contextmanager
def atomic() -> Iterator[None]:
    """Open a transaction on our database.

    PostgreSQL ends it where it is left idle for a lease. Then its process is frozen or cut off, and
    the processes that take over its work wait for the rows it holds.

    Each must begin with a write. One that has read first cannot become a writer on SQLite once
    another has written in between, however long it is told to wait.
    """
    ours = connections[alias()]
    is_outermost = not ours.in_atomic_block
    with transaction.atomic(using=ours.alias):
        if is_outermost and ours.vendor == "postgresql":
            _begin_with_limit(ours)
        yield
    if is_outermost:
        note_commit()


def _begin_with_limit(connection: Any) -> None:
    """Begin the transaction on PostgreSQL, with a limit that ends with it.

    A pooler may give the next transaction of the same session to somebody else. The driver would
    begin at the first statement. It finds that done: to do both in one saves a round trip.
    """
    driver, psycopg = connection.connection, connection.Database
    # Every change of ours is on a condition, which READ COMMITTED looks at again where another
    # transaction came first. A higher level would refuse the change.
    begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
    milliseconds = max(1, int(conf.current().lease_seconds * 1000))
    limit = f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    with connection.wrap_database_errors:
        result = driver.pgconn.exec_(f"{begin}; {limit}".encode())
        # What the server says has a code. What the library says, such as that the server is gone,
        # has none, and the driver may not know it yet.
        is_of_server = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) is not None
        if driver.closed or (result.error_message and not is_of_server):
            raise psycopg.OperationalError(driver.pgconn.error_message.decode())
        if result.error_message:
            raise psycopg.errors.error_from_result(result)


def pause_after_conflict(tries: int) -> None:
    """Wait for a moment before work is done again that had to give way so many times.

    The moment is random, or two that were in each other's way would meet again. No lock is held
    meanwhile, but a thread is, and so all pauses of a unit of work together are short.
    """
    longest = CONFLICT_PAUSE * 2 ** (tries - 1)
    sleep(uniform(0, longest))  # noqa: S311  # no secret


def note_commit() -> None:
    """Note that the unit of work under way in this thread, if there is one, has committed."""
    if this_thread.statements is not None:
        this_thread.statements.have_committed = True


def is_pooled(connection: Any) -> bool:
    """Tell whether a connection goes back to Django's pool after each use."""
    return bool(connection.settings_dict.get("OPTIONS", {}).get("pool"))


class Statements:
    """Watches the statements of a unit of work, as Django lets us wrap their execution."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        """Watch the statements of a connection, for as long as there is the connection."""
        self.connection = connection
        connection.execute_wrappers.append(self)

    def begin(self) -> None:
        """Begin a unit of work."""
        self._session = self.connection.connection
        self._have_begun = self._failed_in_vain = self.have_written = self.have_committed = False

    def __call__(self, execute: Callable[..., T], sql: str, *args: Any) -> T:
        """Execute a statement, and note what it may have changed."""
        is_read, self._have_begun = str(sql).startswith(READS), True
        is_in_transaction = self.connection.in_atomic_block
        for tries in count(1):
            try:
                result = execute(sql, *args)
                break
            except Exception as error:
                # What came before it is committed: this statement is done again by itself.
                is_alone = self.have_committed and not is_in_transaction
                if tries < TRIES and is_alone and cause_of(error) is Cause.CONFLICT:
                    pause_after_conflict(tries)
                    continue
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
        return self.connection.connection is not self._session

    @property
    def can_be_repeated(self) -> bool:
        """Whether the work failed by its connection before anything may have happened."""
        in_vain = self._failed_in_vain and not self.have_written
        is_by_connection = self.are_of_a_lost_session or is_pooled(self.connection)
        return is_by_connection and (in_vain or not self._have_begun)
