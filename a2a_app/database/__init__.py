"""Django's tables, fast, and from asynchronous code: it knows no model of ours."""

from a2a_app.database.away import AwayError, note_away, outage
from a2a_app.database.batch import atomic, idle_limit
from a2a_app.database.bridge import (
    alias,
    close,
    close_connection,
    connection,
    run,
    run_here,
    run_until_answered,
)

__all__ = [
    "AwayError",
    "alias",
    "atomic",
    "close",
    "close_connection",
    "connection",
    "idle_limit",
    "note_away",
    "outage",
    "run",
    "run_here",
    "run_until_answered",
]
