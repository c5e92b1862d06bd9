"""The connector of a worker to Procrastinate's queue: several jobs are one statement.

Its connections may fall silent. One that stays open and passes nothing would keep a worker from
taking turns, and from ending, for hours.
"""

import asyncio
import logging
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any
from weakref import WeakSet

from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.contrib.django import connector_params
from procrastinate.exceptions import ProcrastinateException
from procrastinate.sql import queries
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from a2a_app import conf, database
from a2a_app.database import sockets

logger = logging.getLogger(__name__)

# PostgreSQL plans the statement that takes a job while the queue is empty, and keeps the plan.
# Sorting seems as good as the index then. Later it would sort thousands of jobs for each one that
# is taken. And nobody need wait for the disk: a crash that forgets that a job was taken, or done,
# brings back a job whose turn is not claimed twice.
_CONFIGURE = """
    SELECT set_config('enable_sort', 'off', false),
        set_config('synchronous_commit', 'off', false)
    WHERE pg_backend_pid() = %s
"""


# How many jobs a worker takes at once at most, so that others get some of them too.
MOST_TAKEN = 2
# For how long a queue that was empty counts as empty, unless a notification comes. It is less than
# the pause after which a worker looks whatever it was notified of.
EMPTY_SECONDS = 0.5
# How long ended jobs are kept, so that one statement deletes them all. Nobody waits for it.
END_SECONDS = 0.05

_TAKE, _END = queries["fetch_job"].rstrip(";\n "), queries["finish_job"].rstrip(";\n ")
_NO_JOB: dict[str, Any] = {"id": None}
# Only those that are there: of one that is not, Procrastinate makes an error of the whole.
_END_ALL = f"""
    {_END % {name: f"ended.{name}" for name in ("job_id", "status", "delete_job")}}
    FROM unnest(
        %(job_ids)s::bigint[], %(statuses)s::procrastinate_job_status[], %(deletes)s::boolean[]
    ) AS ended (job_id, status, delete_job)
    JOIN procrastinate_jobs AS job ON job.id = ended.job_id AND job.status IN ('todo', 'doing')
"""


@lru_cache
def _take(most: int) -> str:
    """Return the statement that takes so many jobs: that for one, so many times."""
    return " UNION ALL ".join([f"({_TAKE})"] * most)


class WorkerConnector(PsycopgConnector):
    """Connects a worker to the queue, and cuts its connections where one of them is silent.

    It takes several jobs by one statement where they wait and the worker has room for them, and so
    knows when none is left. Ended jobs are deleted together.
    """

    def __init__(self, concurrency: int, free_slots: Callable[[], int]) -> None:
        """Make a connector to our database with the project's options.

        Args:
            concurrency: How many jobs the worker does at once.
            free_slots: Returns how many more turns the worker can take now. Turns that have come
                over a connection which was lost go on, and have slots too.
        """
        self._connections: WeakSet[AsyncConnection[Any]] = WeakSet()
        self._concurrency, self._free_slots = concurrency, free_slots
        # Jobs that were taken and that the worker has not asked for yet, and those that it does.
        self._taken: deque[dict[str, Any]] = deque()
        self._at_work: set[int] = set()
        self._ended: list[dict[str, Any]] = []
        self._ending: asyncio.Task[None] | None = None
        self._closes = asyncio.Event()
        # How many notifications have come, and of those how many before the queue was found empty.
        self._notified = 0
        self._notified_before_empty = -1
        self._empty_until = 0.0
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
        """Run a statement. One that ends a job is run a little later, with others."""
        if query == queries["finish_job"]:
            self._at_work.discard(arguments["job_id"])
            self._ended.append(arguments)
            self._ending = self._ending or asyncio.create_task(self._end_jobs())
            return
        with self._watched():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        """Run a statement and return its one row. One that takes a job may take more."""
        if query == queries["fetch_job"]:
            return await self._next_job(arguments)
        with self._watched():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen for notifications, and count them."""

        async def count(*, channel: str, payload: str) -> None:
            self._notified += 1
            await on_notification(channel=channel, payload=payload)

        await super().listen_notify(count, channels)

    async def close_async(self) -> None:
        """Delete the jobs that have ended, give back those not begun, and close all connections."""
        self._closes.set()
        if self._ending is not None:
            await asyncio.wait([self._ending])
        # Where there is another job of the task, or no connection, the sweep finds the turn.
        with suppress(ProcrastinateException):
            while self._taken:
                await self._give_back(self._taken.popleft()["id"])
        await super().close_async()

    async def _give_back(self, job_id: int) -> None:
        """Let other workers take a job, which they find by their next look at the queue."""
        same: dict[str, Any] = dict.fromkeys(("new_priority", "new_queue_name", "new_lock"))
        await self.execute_query_async(queries["retry_job"], job_id=job_id, retry_at=None, **same)

    async def _next_job(self, arguments: dict[str, Any]) -> dict[str, Any]:
        free = self._free_slots()
        if not self._taken and not self._is_known_empty and free > 0:
            # A job that was given out a moment ago has no slot yet, and must not be forgotten.
            most = max(1, min(MOST_TAKEN, free, self._concurrency - len(self._at_work)))
            notified, began = self._notified, time.monotonic()
            found = await self.execute_query_all_async(_take(most), **arguments)
            self._taken.extend(row for row in found if row["id"] is not None)
            is_empty = len(self._taken) < most
            self._empty_until = began + EMPTY_SECONDS if is_empty else 0.0
            self._notified_before_empty = notified
        if not self._taken:
            return _NO_JOB
        job = self._taken.popleft()
        self._at_work.add(job["id"])
        return job

    @property
    def _is_known_empty(self) -> bool:
        """Whether a look into the queue would find no job, since nothing has come meanwhile."""
        is_recent = time.monotonic() < self._empty_until
        return is_recent and self._notified == self._notified_before_empty

    async def _end_jobs(self) -> None:
        """Delete the jobs that have ended, until there are none."""
        while self._ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self._closes.wait()
            ended, self._ended = self._ended, []
            columns = {
                "job_ids": [each["job_id"] for each in ended],
                "statuses": [each["status"] for each in ended],
                "deletes": [each["delete_job"] for each in ended],
            }
            try:
                await self.execute_query_all_async(_END_ALL, **columns)
            except ProcrastinateException:
                # As with those of a worker that has died, the next one that begins deletes them.
                logger.warning("%d jobs that have ended are in the queue still.", len(ended))
        self._ending = None

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
