"""Packed calls over gRPC: what they may take of a server's memory before they are refused."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import psutil
import pytest

from tests.clients.grpc import SECONDS, GrpcClient
from tests.servers import Process, free_port, fresh_database, grpc_server, web_server
from tests.wire import load_message

MEGABYTE = 1024 * 1024
# What the server would have after unpacking all of it, and much less than half of that.
LARGE, BOUND = 200 * MEGABYTE, 80 * MEGABYTE


@pytest.fixture
def server() -> Iterator[Process]:
    with fresh_database("sqlite") as url, ExitStack() as stack:
        where = f"127.0.0.1:{free_port()}"
        process = grpc_server(web_server("daphne", database_url=url, GRPC_URL=where))
        stack.callback(process.kill)
        process.start()
        yield process


async def test_a_small_call_that_becomes_large_is_refused_before_it_is_unpacked(
    server: Process,
) -> None:
    process = psutil.Process(server.pid)
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{server.port}", options=[("grpc.max_send_message_length", -1)]
    ) as channel:
        client = GrpcClient(channel)
        await client.send(load_message(chunks=0))
        before = most = process.memory_info().rss
        send = channel.unary_unary("/lf.a2a.v1.A2AService/SendMessage")
        call = send(bytes(LARGE), compression=grpc.Compression.Gzip, timeout=SECONDS)
        while not call.done():
            await asyncio.sleep(0)
            most = max(most, process.memory_info().rss)
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert most - before < BOUND
        await client.send(load_message(chunks=0))
