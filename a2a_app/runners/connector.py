"""The connector of a worker to Procrastinate's queue, whose connections may fall silent.

A connection that stays open and passes nothing would keep a worker from taking turns, and from
ending, for hours.
"""

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from procrastinate import PsycopgConnector
from procrastinate.contrib.django import connector_params
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from a2a_app import conf, database
from a2a_app.database import sockets

# PostgreSQL plans the statement that takes a job while the queue is empty, and keeps the plan.
# Sorting seems as good as the index then. Later it would sort thousands of jobs for each one that
# is taken. And nobody need wait for the disk: a crash that forgets that a job was taken, or done,
# brings back a job whose turn is not claimed twice.
_CONFIGURE = """
    SELECT set_config('enable_sort', 'off', false),
        set_config('synchronous_commit', 'off', false)
    WHERE pg_backend_pid() = %s
"""


class WorkerConnector(PsycopgConnector):
    """Connects a worker to the queue, and cuts its connections where one of them is silent."""

    def __init__(self) -> None:
        """Make a connector to our database with the project's options."""
        self._connections: WeakSet[AsyncConnection[Any]] = WeakSet()
        super().__init__(
            kwargs={**sockets.limits(), **connector_params(database.alias())},
            configure=self._configure,
            pool_factory=_make_pool,
            timeout=conf.current().database_seconds,
        )

    def cut(self) -> None:
        """Cut all connections, so that whoever waits for an answer gets an error."""
        for connection in list(self._connections):
            if not connection.closed:
                sockets.cut(connection)

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        """Run a statement."""
        with self._watched():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        """Run a statement and return its one row."""
        with self._watched():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        with self._watched():
            rows: list[dict[str, Any]] = await super().execute_query_all_async(query, **arguments)
            return rows

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Cut all connections if what is inside takes DATABASE_SECONDS; they are of one time."""
        loop = asyncio.get_running_loop()
        limit = loop.call_later(conf.current().database_seconds, self.cut)
        try:
            yield
        finally:
            limit.cancel()

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        self._connections.add(connection)
        # To take a job is one statement, and so is to end it. A transaction around each would be
        # two more round trips, and a worker that freezes in it would keep what it has locked.
        await connection.set_autocommit(True)
        # In a session of our own only, and not in one that a pooler has lent.
        await connection.execute(_CONFIGURE, [connection.info.backend_pid])


def _make_pool(**options: Any) -> AsyncConnectionPool:
    return AsyncConnectionPool(**{**options, "check": _check})


async def _check(connection: AsyncConnection) -> None:
    """Raise an error of psycopg's if a connection of the pool is of no use any more.

    Nothing comes on an idle connection that is well. Only where something has come, such as its
    end, the database is asked, which Procrastinate would do before each of its statements.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        has_come = selector.select(0)
    if has_come:
        await AsyncConnectionPool.check_connection(connection)
