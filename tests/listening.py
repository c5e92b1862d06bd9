"""Servers of asyncio on the test's own event loop, which leave no connection open."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serve each connection until it is served, or the context ends; yield the port.

    A connection that is open as an event loop ends is found open when its memory is collected. That
    is a warning, and fails whichever test runs then. What is raised while a connection is served is
    raised at the end, unless it is that the client has left.
    """
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if server.is_serving():
            connections.add(asyncio.create_task(_serve_to_the_end(serve, reader, writer)))
        else:
            writer.transport.abort()  # it was accepted as the context ended

    server = await asyncio.start_server(connected, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in connections:
            each.cancel()
        await asyncio.gather(*connections)


async def _serve_to_the_end(
    serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
            writer.close()
            await writer.wait_closed()
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
