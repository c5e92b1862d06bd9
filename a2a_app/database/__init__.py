"""Django's tables, fast, and from asynchronous code: it knows no model of ours."""

from a2a_app.database.away import AwayError, lacks_tables, note_away, outage
from a2a_app.database.bridge import (
    close,
    close_connection,
    is_idle,
    performed_by,
    read,
    run,
    run_here,
    run_until_answered,
)
from a2a_app.database.transactions import alias, atomic, connection, find_fault

__all__ = [
    "AwayError",
    "alias",
    "atomic",
    "close",
    "close_connection",
    "connection",
    "find_fault",
    "is_idle",
    "lacks_tables",
    "note_away",
    "outage",
    "performed_by",
    "read",
    "run",
    "run_here",
    "run_until_answered",
]
