"""Idle streams cost memory, and little of it: no thread and no connection of their own (R14)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process, fresh_database, postgresql
from tests.wire import envelope, load_message

FEW, MANY = 50, 500
SECONDS = 40.0
# What a stream may hold, and what an agent at work on a task may hold besides.
STREAM_KILOBYTES, RUN_KILOBYTES = 50, 30

# Opens a stream of a task of its own.
HANG = envelope("SendStreamingMessage", {"message": load_message(end="hang")})
KEEPALIVE = b": keep-alive\n"
SETTINGS: dict[str, Any] = {
    "KEEPALIVE_SECONDS": 1,
    # So long that no heartbeat comes while we look: it has a connection of its own, one for all.
    "LEASE_SECONDS": 600,
    "STREAMS_PER_OWNER": 0,
}


@dataclass(frozen=True)
class Usage:
    """What a server holds."""

    threads: int
    connections: int
    memory: int


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
async def test_an_idle_stream_of_a_shared_task_costs_memory_only(serve: Serve, server: str) -> None:
    with fresh_database("sqlite") as url:
        served = serve(server=server, database_url=url, **SETTINGS)
        few, many = await _measure(served, url, await _subscription(served))
    _assert_only_memory(few, many, STREAM_KILOBYTES)


async def test_an_idle_stream_of_a_waiting_task_costs_memory_only(serve: Serve) -> None:
    with fresh_database("sqlite") as url:
        served = serve(database_url=url, **SETTINGS, MAX_RUNS=1)
        few, many = await _measure(served, url, HANG)
    _assert_only_memory(few, many, STREAM_KILOBYTES)


async def test_an_idle_stream_and_its_running_agent_cost_memory_only(serve: Serve) -> None:
    with fresh_database("postgresql") as url:
        served = serve(database_url=url, **SETTINGS, MAX_RUNS=MANY)
        few, many = await _measure(served, url, HANG)
        served.kill()  # before its database goes
    _assert_only_memory(few, many, STREAM_KILOBYTES + RUN_KILOBYTES)


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
async def test_an_idle_stream_does_not_keep_its_request(serve: Serve, server: str) -> None:
    size = 1024 * 1024
    with fresh_database("sqlite") as url:
        served = serve(server=server, database_url=url, **SETTINGS)
        request = await _subscription(served)
        large = {**request, "padding": "." * size}
        async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
            await _open(served, request, FEW, stack)
            before = usage_of(served, url)
            await _open(served, large, FEW, stack, together=1)
            after = usage_of(served, url)
    # Half of what was sent: the one request that is under way takes memory too.
    assert after.memory - before.memory < FEW * size / 2


def _assert_only_memory(few: Usage, many: Usage, kilobytes: int) -> None:
    assert many.threads == few.threads
    assert many.connections == few.connections
    assert many.memory - few.memory <= kilobytes * 1024 * (MANY - FEW)


async def _measure(
    served: Process, database_url: str, request: dict[str, Any]
) -> tuple[Usage, Usage]:
    async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
        await _open(served, request, FEW, stack)
        few = usage_of(served, database_url)
        await _open(served, request, MANY - FEW, stack)
        many = usage_of(served, database_url)
        return few, many


async def _subscription(served: Process) -> dict[str, Any]:
    """Start a task that hangs, and make the request that opens a stream of it."""
    async with SocketClient(served.url) as client:
        task = await client.send(load_message(end="hang"), returnImmediately=True)
    return envelope("SubscribeToTask", {"id": task["id"]})


async def _open(
    served: Process,
    request: dict[str, Any],
    count: int,
    stack: AsyncExitStack,
    *,
    together: int = 10,
) -> None:
    """Open streams and return when each has been idle long enough to say so.

    A few at a time at every level: what is measured is the streams, not the rush to open them.
    """
    readers: list[asyncio.StreamReader] = []
    for _ in range(count // together):
        opening = [stack.enter_async_context(_stream(served, request)) for _ in range(together)]
        readers += await asyncio.gather(*opening)
    # The first comment comes when a stream has long done all that it does at its beginning.
    await asyncio.gather(*[reader.readuntil(KEEPALIVE) for reader in readers])


@asynccontextmanager
async def _stream(served: Process, request: dict[str, Any]) -> AsyncIterator[asyncio.StreamReader]:
    """Open a stream on a bare socket, and read its first item: a client library costs too much."""
    body = json.dumps(request).encode()
    head = (
        "POST /a2a/load/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"A2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(served.url).port)
    try:
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\ndata: ")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        yield reader
    finally:
        writer.close()


def usage_of(served: Process, database_url: str) -> Usage:
    """Measure what a server holds."""
    process = psutil.Process(served.pid)
    return Usage(
        threads=process.num_threads(),
        connections=_connections(process, database_url),
        memory=process.memory_info().rss,
    )


def _connections(process: psutil.Process, database_url: str) -> int:
    kind, _, path = database_url.partition("://")
    if kind == "sqlite":
        return [file.path for file in process.open_files()].count(path.removeprefix("/"))
    name = path.rpartition("/")[2]
    with psycopg.connect(postgresql().get_uri()) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        row = connection.execute(query, [name]).fetchone()
    assert row is not None
    return int(row[0])
