"""Health: for how long what a process needs has not answered, as it knows without asking.

What is asked here must be answered at once, above all where something else hangs. So it is what the
process has noticed in its own work, of which the sweep does some every SWEEP_SECONDS.
"""

import asyncio
from dataclasses import dataclass, fields
from functools import lru_cache

from django.db.migrations.executor import MigrationExecutor

from a2a_app import broadcast, database, runners

# Within so many seconds the database answers whether a process is ready, or it is not.
READY_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Health:
    """For how many seconds each of these has not answered; 0 for one that does."""

    database: float
    """The database: it cannot be reached, is read-only, full or busy, or lacks a migration.
    Requests are refused."""
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


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether each of these is as a process needs it for requests."""

    database: bool
    migrations: bool
    """Whether the database has all tables of this version. False too where it does not answer."""
    channel_layer: bool
    """Requests do not need it: without it streams are late, and a process is ready all the same."""

    @property
    def is_ready(self) -> bool:
        """Whether the process should get requests."""
        return self.database and self.migrations


async def readiness() -> Readiness:
    """Ask the database, unless it is known not to answer, and return what a process has."""
    has_layer = broadcast.seconds_away() == 0
    if database.outage.seconds and not database.lacks_tables():
        return Readiness(database=False, migrations=False, channel_layer=has_layer)
    try:
        async with asyncio.timeout(READY_SECONDS):
            has_tables = await database.read(_has_tables)
    except (database.AwayError, TimeoutError):
        return Readiness(database=False, migrations=False, channel_layer=has_layer)
    return Readiness(database=True, migrations=has_tables, channel_layer=has_layer)


def _has_tables() -> bool:
    with database.connection().cursor() as cursor:
        cursor.execute("SELECT 1")
    try:
        _check_migrations()
    except LookupError:
        return False
    return True


@lru_cache(1)
def _check_migrations() -> None:
    """Raise LookupError where a migration of ours is missing. Once none is, nobody asks again."""
    executor = MigrationExecutor(database.connection())
    graph = executor.loader.graph
    if executor.migration_plan(graph.leaf_nodes("a2a_app")):
        raise LookupError("A migration is missing.")
