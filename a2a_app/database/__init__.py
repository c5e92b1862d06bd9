"""Django's tables, fast, and from asynchronous code: it knows no model of ours."""

from a2a_app.database.bridge import (
    AWAY,
    alias,
    atomic,
    close,
    close_connection,
    connection,
    idle_limit,
    outage,
    run,
    run_until_answered,
    watched,
)

__all__ = [
    "AWAY",
    "alias",
    "atomic",
    "close",
    "close_connection",
    "connection",
    "idle_limit",
    "outage",
    "run",
    "run_until_answered",
    "watched",
]
