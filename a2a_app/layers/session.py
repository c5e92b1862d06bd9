"""Whether a connection to PostgreSQL is a session of its own, or a pooler shares it with others.

A pooler such as PgBouncer in transaction mode gives each transaction any of its connections to the
server. What one transaction sets or listens to there stays for another client's, and what the
server says between transactions reaches nobody.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
from django.db import connections

Connection: TypeAlias = "psycopg.AsyncConnection[Any]"
Connect: TypeAlias = Callable[[], Awaitable[Connection]]

# They detect a connection that neither side has closed, such as one that a firewall forgot.
KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}

# How long a notification may take from one connection to another.
HEAR_SECONDS = 3.0


class SharedSessionError(ConnectionError):
    """The connection leads to a pooler that gives others its session between transactions."""


async def connect(database: str) -> Connection:
    """Open a connection to an alias of DATABASES, in autocommit, with Django's parameters."""
    params = connections[database].get_connection_params()
    # These are for Django's cursors, which are synchronous.
    for name in ("cursor_factory", "context"):
        params.pop(name, None)
    # Several statements are sent as one, and such a one cannot be prepared.
    params["prepare_threshold"] = None
    return await psycopg.AsyncConnection.connect(**{**KEEPALIVES, **params}, autocommit=True)


async def check_session(database: str) -> None:
    """Connect to an alias of DATABASES, and return if the session stays the connection's own.

    Raises:
        SharedSessionError: A pooler gives others the session.
        psycopg.Error, OSError: The database is away.
    """
    connect_again = partial(connect, database)
    connection = await connect_again()
    try:
        await require_own_session(connection, connect_again)
    finally:
        await connection.close()


async def require_own_session(connection: Connection, connect_again: Connect) -> None:
    """Return if the session of a connection stays its own; on a direct one, after one statement.

    Where a pooler answers, a second connection is opened. That the first one hears itself would
    prove nothing: while a pooler has nobody else to serve, it leads each transaction to the same
    session.

    Args:
        connection: An open connection, in autocommit.
        connect_again: Opens another one of the same kind.

    Raises:
        SharedSessionError: A pooler gives others the session.
        psycopg.Error, OSError: The database is away.
    """
    backend = await _backend(connection)
    if backend == connection.info.backend_pid:
        return
    other = await connect_again()
    try:
        # Where that tells already, nothing is left behind in a session that is not ours.
        shared = backend == await _backend(other) or not await _hears(connection, other)
    finally:
        await other.close()
    if shared:
        raise SharedSessionError(
            "the connection leads to a pooler that shares sessions between transactions, such as "
            "PgBouncer in transaction mode, and LISTEN hears nothing through it"
        )


async def _backend(connection: Connection) -> int:
    """Return the process id of the session that a connection has for now."""
    cursor = await connection.execute("SELECT pg_backend_pid()")
    [process_id] = await cursor.fetchone() or [0]
    return int(process_id)


async def _hears(connection: Connection, other: Connection) -> bool:
    """Tell whether an idle connection is told what another one notifies it of."""
    name = f"channels_{uuid4().hex}".encode()
    await connection.execute(b"LISTEN " + name)
    await other.execute(b"NOTIFY " + name)
    heard = [notice async for notice in connection.notifies(timeout=HEAR_SECONDS, stop_after=1)]
    # A pooler may lead this to another session than the first. Nobody uses the name again.
    await connection.execute(b"UNLISTEN " + name)
    return bool(heard)
