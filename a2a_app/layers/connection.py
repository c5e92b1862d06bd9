"""The connection of one event loop to PostgreSQL, over which it both notifies and listens.

Statements that arrive during a round trip are sent together in the next one. The connection is
opened when it is first needed, and again when it is lost. A new connection listens to every channel
that the lost one listened to. Notifications that were sent in between are lost.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any, TypeAlias

import psycopg

from a2a_app.layers.session import Connect, SharedSessionError, require_own_session

logger = logging.getLogger(__name__)

# Each with the future of the caller that waits for it, if one does.
Statements: TypeAlias = list[tuple[bytes, "asyncio.Future[None] | None"]]

# How long the server may take to answer. After that the connection counts as lost.
EXCHANGE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1
LAST_PAUSE_SECONDS = 5.0
# How long nothing is tried after a pooler was found in the way.
REFUSE_SECONDS = 60.0
# Errors after which another connection may work. A timeout is an OSError.
FAILURES = (psycopg.Error, OSError)
# Nothing that is sent here is worth waiting for a disk: PostgreSQL lets only one transaction with a
# NOTIFY commit at a time.
WITHOUT_THE_DISK = b"SET LOCAL synchronous_commit TO off;"


@asynccontextmanager
async def _time_limit() -> AsyncIterator[None]:
    """Raise TimeoutError when the server does not answer in time."""
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            yield
    except TimeoutError:
        message = f"PostgreSQL has not answered for {EXCHANGE_SECONDS} seconds."
        raise TimeoutError(message) from None


class NotifyConnection:
    """A connection that sends NOTIFY and receives notifications while the event loop runs.

    Args:
        connect: Opens a connection, in autocommit.
        names: Returns the names of all PostgreSQL channels to listen to. It is called for each new
            connection.
        receive: Is called with the channel and the payload of each notification.
    """

    def __init__(
        self,
        connect: Connect,
        names: Callable[[], Iterable[str]],
        receive: Callable[[str, str], None],
    ) -> None:
        self._connect = connect
        self._names = names
        self._receive = receive
        self._waiting: Statements = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Return when the connection is open, or raise the reason why it cannot be opened."""
        await self._execute(b"SELECT")

    async def listen(self, name: str) -> None:
        """Listen to a PostgreSQL channel; return when no later notification is missed."""
        await self._execute(b'LISTEN "%s"' % name.encode())

    def unlisten(self, name: str) -> None:
        """Stop listening to a PostgreSQL channel; without a connection there is nothing to do."""
        if self._task is not None and not self._task.done():
            self._add(b'UNLISTEN "%s"' % name.encode(), None)

    async def notify(self, name: str, payloads: Sequence[bytes]) -> None:
        """Send payloads to everyone who listens to a PostgreSQL channel.

        Args:
            name: The channel.
            payloads: They must contain no quotes and no backslashes, because they are written into
                the statement.
        """
        await self._execute(
            b";".join(b"NOTIFY \"%s\",'%s'" % (name.encode(), payload) for payload in payloads)
        )

    async def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _execute(self, statement: bytes) -> None:
        if self._task is None or self._task.done():
            # The task runs for long, and would keep the context of its first caller alive.
            self._task = asyncio.create_task(self._run(), context=Context())
        executed = asyncio.get_running_loop().create_future()
        self._add(statement, executed)
        await executed

    def _add(self, statement: bytes, executed: "asyncio.Future[None] | None") -> None:
        self._waiting.append((statement, executed))
        self._wake.set()

    async def _run(self) -> None:
        """Open a connection, use it, and replace it when it is lost, until cancelled."""
        pause = 0.0
        try:
            while True:
                try:
                    connection = await self._open()
                except SharedSessionError as error:
                    logger.error("The channel layer does not work: %s", error)
                    await self._refuse(error)
                except FAILURES as error:
                    if not pause:
                        logger.warning("The channel layer has no connection: %s", error)
                    self._fail(self._take_waiting(), error)
                    pause = min(max(pause * 2, FIRST_PAUSE_SECONDS), LAST_PAUSE_SECONDS)
                    await self._pause(pause)
                else:
                    if pause:
                        logger.info("The channel layer has a connection again.")
                    pause = 0.0
                    await self._use(connection)
                    # A server that accepts connections and drops them must not keep us busy.
                    await self._pause(FIRST_PAUSE_SECONDS)
        finally:
            self._fail(self._take_waiting(), ConnectionError("The channel layer was closed."))

    async def _open(self) -> "psycopg.AsyncConnection[Any]":
        async with _time_limit():
            connection = await self._connect()
            try:
                await require_own_session(connection, self._connect)
                connection.add_notify_handler(
                    lambda notice: self._receive(notice.channel, notice.payload)
                )
                names = [b'LISTEN "%s"' % name.encode() for name in self._names()]
                if names:
                    await connection.execute(b";".join(names))
            except BaseException:
                await connection.close()
                raise
        return connection

    async def _use(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        """Send and receive over a connection until it is lost."""
        loop = asyncio.get_running_loop()
        descriptor = connection.fileno()
        try:
            while True:
                self._wake.clear()
                if self._waiting:
                    await self._exchange(connection)
                _end_if_cancelled()
                if self._read(connection):
                    # With TLS more may be buffered, and the descriptor does not become readable
                    # for that.
                    await asyncio.sleep(0)
                    continue
                # psycopg's own wait would not do. Interrupting it can lose a notification, and it
                # wakes up ten times a second. Each statement of psycopg removes this reader.
                loop.add_reader(descriptor, self._wake.set)
                await self._wake.wait()
        except FAILURES as error:
            logger.warning("The channel layer lost its connection: %s", error)
        finally:
            loop.remove_reader(descriptor)
            await connection.close()

    async def _exchange(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        """Send all statements that wait, in one transaction and one round trip."""
        batch = self._take_waiting()
        try:
            async with _time_limit():
                statements = b";".join(statement for statement, _ in batch)
                await connection.execute(WITHOUT_THE_DISK + statements)
        except FAILURES as error:
            self._fail(batch, error)
            if connection.closed or isinstance(error, OSError):
                raise
        except BaseException:
            self._fail(batch, ConnectionError("The channel layer was closed."))
            raise
        else:
            for _, executed in batch:
                if executed is not None and not executed.done():
                    executed.set_result(None)

    def _read(self, connection: "psycopg.AsyncConnection[Any]") -> bool:
        """Pass on the notifications that have arrived, and tell whether there were any.

        Raises:
            psycopg.OperationalError: The connection is lost.
        """
        pgconn = connection.pgconn
        pgconn.consume_input()
        found = False
        while notice := pgconn.notifies():
            found = True
            self._receive(notice.relname.decode(), notice.extra.decode())
        return found

    async def _refuse(self, error: SharedSessionError) -> None:
        """Fail all statements for some time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REFUSE_SECONDS):
                while True:
                    self._fail(self._take_waiting(), error)
                    self._wake.clear()
                    await self._wake.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt, but only until a statement needs the connection."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()

    def _take_waiting(self) -> Statements:
        batch, self._waiting = self._waiting, []
        return batch

    @staticmethod
    def _fail(batch: Statements, error: BaseException) -> None:
        for _, executed in batch:
            if executed is not None and not executed.done():
                executed.set_exception(error)


def _end_if_cancelled() -> None:
    """Raise the cancellation that psycopg may have lost: on Python 3.11 `asyncio.wait_for` does."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
