"""What counts as away: the errors of a database that cannot serve for now, in one table.

Everything else that a database raises is a fault of a statement or of its values, which is the same
however often it is tried.
"""

import logging
import re
import sqlite3
from collections.abc import Iterator
from enum import Enum

from django.db import InterfaceError, OperationalError

from a2a_app import conf
from a2a_app.concurrency.outages import Outage

logger = logging.getLogger(__name__)

outage = Outage(logger, "The database")
"""The outage of the database, logged once, in place of a line for each piece of work that fails."""


class Cause(Enum):
    """Why a database cannot serve for now."""

    BROKEN = "The connection broke off, or there is none to be had."
    READ_ONLY = "This server takes no writes: it is a standby, or was made one."
    FULL = "It has no room left: on its disk, in its memory, or for one more connection."
    BUSY = "Others hold what is needed for longer than a statement may wait."
    NOT_MIGRATED = "It has no table or column of such a name, which this version of ours needs."
    CONFLICT = "Another transaction came first. The database itself is there."


class AwayError(OperationalError):
    """The database cannot serve for now. What it said is the `__cause__`."""

    def __init__(self, error: BaseException, cause: Cause) -> None:
        """Make the error from what the database's driver raised, and what that means."""
        said = str(error).strip() or type(error).__name__
        if cause is Cause.NOT_MIGRATED:
            # What PostgreSQL says goes on with the statement.
            said = f"{said.splitlines()[0]} (has `manage.py migrate` been run?)"
        super().__init__(said)
        self.cause = cause


# Why the outage is on, if it is.
_outage_cause: Cause | None = None

# PostgreSQL's SQLSTATEs, or the characters with which several begin.
_SQLSTATES = {
    "08": Cause.BROKEN,  # connection exceptions; a pooler has one for whatever it lacks
    "25P03": Cause.BROKEN,  # a transaction was idle for too long
    "25P04": Cause.BROKEN,  # a transaction took too long
    "57P": Cause.BROKEN,  # shut down, crashed, starting up, dropped, idle for too long
    "25006": Cause.READ_ONLY,
    "53": Cause.FULL,  # disk, memory, connections
    "58": Cause.FULL,  # errors of the system below, such as of a disk
    "55P03": Cause.BUSY,  # a lock
    "57014": Cause.BUSY,  # a statement that took too long
    "40001": Cause.CONFLICT,  # a transaction that cannot be serialized
    "40P01": Cause.CONFLICT,  # a deadlock
}
# SQLite's primary result codes.
_SQLITE_CODES = {
    sqlite3.SQLITE_READONLY: Cause.READ_ONLY,
    sqlite3.SQLITE_FULL: Cause.FULL,
    sqlite3.SQLITE_IOERR: Cause.FULL,
    sqlite3.SQLITE_CANTOPEN: Cause.FULL,  # no file, or no file descriptor left
    sqlite3.SQLITE_BUSY: Cause.BUSY,
    sqlite3.SQLITE_LOCKED: Cause.BUSY,
    sqlite3.SQLITE_PROTOCOL: Cause.BUSY,
}
# What a database says where a table or a column of ours is not there. PostgreSQL's words are in the
# language of its settings, and SQLite has one code for this and for statements that are no SQL.
_UNDEFINED_SQLSTATES = ("42P01", "42703")
_UNDEFINED_IN_SQLITE = re.compile(r"no such (table|column)|has no column named")
_OURS = "a2a_app_"
# With these a server says that it has not begun the statement that they answer, or has refused it:
# a session that was idle, and a write where there may be none.
_UNBEGUN = ("57P05", "25006")


def cause_of(error: BaseException) -> Cause | None:
    """Return why the database cannot serve for now, by the error; None if it is another error."""
    if isinstance(error, AwayError):
        return error.cause
    chain = list(_chain(error))
    for each in chain:
        if _lacks_ours(each):
            return Cause.NOT_MIGRATED
        if sqlstate := _sqlstate(each):
            return next((_SQLSTATES[key] for key in _SQLSTATES if sqlstate.startswith(key)), None)
        # The low byte has the primary code, and the others say more about it.
        if (code := getattr(each, "sqlite_errorcode", None)) is not None:
            return _SQLITE_CODES.get(code & 0xFF)
    # A driver that finds no server, or a connection that is closed, has no code for it.
    without_code = any(isinstance(each, OperationalError | InterfaceError) for each in chain)
    return Cause.BROKEN if without_code else None


def note_away(error: BaseException) -> bool:
    """Tell whether an error says that the database is away. The first of an outage is logged."""
    global _outage_cause
    cause = cause_of(error)
    if cause is None:
        return False
    if cause is not Cause.CONFLICT:
        _outage_cause = cause
        outage.begin(error)
    return True


def lacks_tables() -> bool:
    """Tell whether the database is away for want of a migration, though it answers."""
    return outage.is_on and _outage_cause is Cause.NOT_MIGRATED


def end_outage(*, has_written: bool) -> None:
    """End the outage if what has just been done shows that it is over.

    A database that takes no writes answers readers all the same, one that is full takes small
    writes, and one that lacks a table has others. But a site where nobody writes must not seem to
    be without a database for ever.
    """
    lasts = _outage_cause in (Cause.FULL, Cause.NOT_MIGRATED)
    is_over = _outage_cause is Cause.BROKEN or (has_written and not lasts)
    if is_over or outage.quiet_seconds > conf.current().lease_seconds:
        outage.end()


def is_unbegun(error: BaseException) -> bool:
    """Tell whether the server itself says that it has done nothing of a statement."""
    return any(_sqlstate(each) in _UNBEGUN for each in _chain(error))


def _lacks_ours(error: BaseException) -> bool:
    """Tell whether an error is a driver's about a table or a column of ours that is not there."""
    if _OURS not in str(error):
        return False
    if isinstance(error, sqlite3.Error):
        return _UNDEFINED_IN_SQLITE.search(str(error)) is not None
    return _sqlstate(error) in _UNDEFINED_SQLSTATES


def _sqlstate(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes. Django's has the driver's, and a queue's has Django's."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__
