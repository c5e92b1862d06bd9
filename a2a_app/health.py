"""Health: for how long what a process needs has not answered, as it knows without asking.

What is asked here must be answered at once, above all where something else hangs. So it is what the
process has noticed in its own work, of which the sweep does some every SWEEP_SECONDS.
"""

from dataclasses import dataclass, fields

from a2a_app import broadcast, database, runners


@dataclass(frozen=True, slots=True)
class Health:
    """For how many seconds each of these has not answered; 0 for one that does."""

    database: float
    """The database: it cannot be reached, is read-only, full or busy. Requests are refused."""
    channel_layer: float
    """The channel layer. Streams are late by up to POLL_SECONDS, and nothing else suffers."""
    workers: float
    """The workers: turns wait, and no process works on any. It is noticed by the sweep."""

    def silent(self, seconds: float) -> list[str]:
        """Return the names of those that have not answered for longer than so many seconds."""
        return [each.name for each in fields(self) if getattr(self, each.name) > seconds]


def current() -> Health:
    """Return what this process knows now. It asks nobody, and any thread may call it.

    A process that has not begun its background work, as before the first request under a plain ASGI
    application, has noticed nothing yet.
    """
    return Health(
        database=database.outage.seconds,
        channel_layer=broadcast.seconds_away(),
        workers=runners.current().seconds_neglected,
    )
