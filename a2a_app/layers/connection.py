"""Line: one event loop's connection to PostgreSQL, over which it both notifies and listens.

What is asked for while a round trip is under way goes into the next one, all together. The
connection is opened when it is first needed and again when it is lost; then it listens to
everything anew. What was notified meanwhile is lost.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any, TypeAlias

import psycopg

logger = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[], Awaitable["psycopg.AsyncConnection[Any]"]]
# Each with whom to tell when it is done.
Statements: TypeAlias = list[tuple[bytes, "asyncio.Future[None] | None"]]

# A server that is gone without a word is given up after this long.
EXCHANGE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1
LAST_PAUSE_SECONDS = 5.0
# What another connection may mend. Timeouts are OSErrors.
FAILURES = (psycopg.Error, OSError)


@asynccontextmanager
async def _answered() -> AsyncIterator[None]:
    """Give the server its time to answer; raises TimeoutError."""
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            yield
    except TimeoutError:
        message = f"PostgreSQL has not answered for {EXCHANGE_SECONDS} seconds."
        raise TimeoutError(message) from None


class NotifyConnection:
    """Statements go out in batches, notifications come in, for as long as the event loop runs.

    Args:
        connect: Opens a connection, in autocommit.
        names: Gives all the PostgreSQL channels to listen to, whenever a connection is made.
        hear: Is called with the channel and the payload of each notification.
    """

    def __init__(
        self,
        connect: Connect,
        names: Callable[[], Iterable[str]],
        hear: Callable[[str, str], None],
    ) -> None:
        self._connect = connect
        self._names = names
        self._hear = hear
        self._waiting: Statements = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Return when the line is open, or raise why it cannot be opened."""
        await self._say(b"SELECT")

    async def listen(self, name: str) -> None:
        """Return when what is sent to a PostgreSQL channel from now on will be heard."""
        await self._say(b'LISTEN "%s"' % name.encode())

    def unlisten(self, name: str) -> None:
        """Hear a PostgreSQL channel no longer; without a connection nothing need be done."""
        if self._task is not None and not self._task.done():
            self._add(b'UNLISTEN "%s"' % name.encode(), None)

    async def notify(self, name: str, payloads: Sequence[bytes]) -> None:
        """Return when the payloads are on their way to all who listen to a channel.

        They must hold no quotes and no backslashes: they are written into the statement.
        """
        await self._say(b";".join(b"NOTIFY \"%s\",'%s'" % (name.encode(), p) for p in payloads))

    async def close(self) -> None:
        """Give the connection back; the next use opens another."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _say(self, statement: bytes) -> None:
        if self._task is None or self._task.done():
            # Not in the context of whoever comes first: it would be kept for as long as this runs.
            self._task = asyncio.create_task(self._keep(), context=Context())
        said = asyncio.get_running_loop().create_future()
        self._add(statement, said)
        await said

    def _add(self, statement: bytes, said: "asyncio.Future[None] | None") -> None:
        self._waiting.append((statement, said))
        self._wake.set()

    async def _keep(self) -> None:
        """Hold a connection until the event loop ends and cancels this."""
        pause = 0.0
        try:
            while True:
                try:
                    connection = await self._open()
                except FAILURES as error:
                    if not pause:
                        logger.warning("The channel layer has no connection: %s", error)
                    self._fail(self._taken(), error)
                    pause = min(max(pause * 2, FIRST_PAUSE_SECONDS), LAST_PAUSE_SECONDS)
                    await self._pause(pause)
                else:
                    if pause:
                        logger.info("The channel layer has a connection again.")
                    pause = 0.0
                    await self._use(connection)
                    # A server that takes connections and drops them must not keep us busy.
                    await self._pause(FIRST_PAUSE_SECONDS)
        finally:
            self._fail(self._taken(), ConnectionError("The channel layer was closed."))

    async def _open(self) -> "psycopg.AsyncConnection[Any]":
        async with _answered():
            connection = await self._connect()
            try:
                connection.add_notify_handler(lambda n: self._hear(n.channel, n.payload))
                # Nothing that is sent here is worth waiting for a disk, least of all while
                # PostgreSQL lets no other transaction with a NOTIFY commit.
                first = [b"SET synchronous_commit TO off"]
                first += (b'LISTEN "%s"' % name.encode() for name in self._names())
                await connection.execute(b";".join(first))
            except BaseException:
                await connection.close()
                raise
        return connection

    async def _use(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        loop = asyncio.get_running_loop()
        descriptor = connection.fileno()
        try:
            while True:
                self._wake.clear()
                if self._waiting:
                    await self._exchange(connection)
                if self._read(connection):
                    # There may be more, which TLS keeps from making the descriptor readable.
                    await asyncio.sleep(0)
                    continue
                # Not psycopg's own wait: that could not be interrupted without losing what
                # arrives, and would wake up ten times a second. Its statements take this off.
                loop.add_reader(descriptor, self._wake.set)
                await self._wake.wait()
        except FAILURES as error:
            logger.warning("The channel layer lost its connection: %s", error)
        finally:
            loop.remove_reader(descriptor)
            await connection.close()

    async def _exchange(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        """Say everything that waits, in one transaction and one round trip."""
        batch = self._taken()
        try:
            async with _answered():
                await connection.execute(b";".join(statement for statement, _ in batch))
        except FAILURES as error:
            self._fail(batch, error)
            if connection.closed or isinstance(error, OSError):
                raise
        except BaseException:
            self._fail(batch, ConnectionError("The channel layer was closed."))
            raise
        else:
            for _, said in batch:
                if said is not None and not said.done():
                    said.set_result(None)

    def _read(self, connection: "psycopg.AsyncConnection[Any]") -> bool:
        """Hear what has arrived; tells whether anything has. Raises psycopg.OperationalError."""
        pgconn = connection.pgconn
        pgconn.consume_input()
        heard = False
        while notice := pgconn.notifies():
            heard = True
            self._hear(notice.relname.decode(), notice.extra.decode())
        return heard

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; whoever needs the connection now ends the wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()

    def _taken(self) -> Statements:
        batch, self._waiting = self._waiting, []
        return batch

    @staticmethod
    def _fail(batch: Statements, error: BaseException) -> None:
        for _, said in batch:
            if said is not None and not said.done():
                said.set_exception(error)
