"""Outages of the test's own database, and what our logger says of them."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
from django.db import connections
from django.db.models import Model

from a2a_app import database, models
from tests.servers import postgresql_url


def lose_patience() -> None:
    """Let SQLite say at once that it is busy, and not after seconds."""
    if connections[database.alias()].vendor == "sqlite":
        connections[database.alias()].cursor().execute("PRAGMA busy_timeout = 10")


@contextmanager
def away() -> Iterator[None]:
    """Take the database away: lock SQLite's file, or let nobody into PostgreSQL."""
    name = str(connections[database.alias()].settings_dict["NAME"])
    if connections[database.alias()].vendor == "sqlite":
        with closing(sqlite3.connect(name, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
        return
    with psycopg.connect(postgresql_url(), autocommit=True) as other_database:
        other_database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        other_database.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
        try:
            yield
        finally:
            other_database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def nobody_else_writes(model: type[Model] = models.Task) -> Iterator[None]:
    """Hold the lock that writers of a table need, as another process does that writes for long."""
    name = str(connections[database.alias()].settings_dict["NAME"])
    if connections[database.alias()].vendor == "sqlite":
        with closing(sqlite3.connect(name, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
        return
    with psycopg.connect(postgresql_url(name)) as other_session:
        other_session.execute(f"LOCK TABLE {model._meta.db_table} IN EXCLUSIVE MODE")
        yield


@contextmanager
def logged(name: str) -> Iterator[asyncio.Event]:
    """Yield an event that is set when the logger says something."""
    event, handler = asyncio.Event(), logging.Handler()
    handler.emit = lambda record: event.set()  # type: ignore[method-assign]  # what a handler is for
    logging.getLogger(name).addHandler(handler)
    try:
        yield event
    finally:
        logging.getLogger(name).removeHandler(handler)
