"""Readers that do not read: what they may take of a server's memory, and what becomes of them."""

import asyncio
import json
import socket
from contextlib import ExitStack
from typing import Literal

import httpx
import psutil
import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process
from tests.wire import envelope, load_message, state

SECONDS = 60.0
MEGABYTE = 1024 * 1024
READERS, LARGE = 30, 3 * MEGABYTE
# Half of what the texts have that all of them ask for. Without limits they take three times that.
BOUND = READERS * LARGE // 2
SETTINGS = {"ANSWER_BYTES": 12 * MEGABYTE, "READER_SECONDS": 0.5, "KEEPALIVE_SECONDS": 0.2}
# How much the system takes for a client that does not read: little, and so little that a client
# that reads later is not slow. The system of the server takes up to 4 MB besides.
TINY_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024)
SMALL_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
CUT = "which took nothing for 0.5 seconds"


def ask(served: Process, method: str, **params: object) -> socket.socket:
    """Send a request over a connection of which nothing is read."""
    body = json.dumps(envelope(method, params)).encode()
    connection = socket.socket()
    connection.setsockopt(*TINY_BUFFER)
    connection.connect(("127.0.0.1", served.port))
    connection.sendall(
        b"POST /a2a/load/ HTTP/1.1\r\nHost: 127.0.0.1\r\nA2A-Version: 1.0\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    return connection


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
async def test_readers_that_do_not_read_are_cut_off_and_take_bounded_memory_until_then(
    serve: Serve, server: Literal["daphne", "uvicorn"]
) -> None:
    served = serve(server=server, **SETTINGS)
    async with SocketClient(served.url) as client, asyncio.timeout(SECONDS):
        task = await client.send(load_message(size=LARGE, end="input-required"))
        process = psutil.Process(served.pid)
        before = most = process.memory_info().rss
        with ExitStack() as stack:
            for number in range(READERS):
                method = "SubscribeToTask" if number % 2 else "GetTask"
                stack.enter_context(ask(served, method, id=task["id"]))
            while served.output().count(CUT) < 4:
                most = max(most, process.memory_info().rss)
                async with asyncio.timeout(10):  # nobody else waits for all of them
                    await client.error("GetTask", id="none")
                await asyncio.to_thread(served.look_again)
        assert most - before < BOUND
        # Those that are gone hold nothing: there is room for this one.
        assert (await client.result("GetTask", id=task["id"]))["id"] == task["id"]
        await _is_cut_and_resumes(served, client)


async def _is_cut_and_resumes(served: Process, client: SocketClient) -> None:
    """Stop reading a stream until it is cut off, and see the rest of it in another one."""
    before = served.output().count(CUT)
    seen = []
    async with SocketClient(served.url) as slow:
        transport = httpx.AsyncHTTPTransport(socket_options=[SMALL_BUFFER])
        slow.http = httpx.AsyncClient(timeout=SECONDS, transport=transport)
        sent = load_message(chunks=5, size=2 * MEGABYTE)
        with pytest.raises(httpx.HTTPError):
            async with slow.open("SendStreamingMessage", message=sent) as events:
                number, item = await anext(events)
                seen.append(number)
                while served.output().count(CUT) == before:
                    await asyncio.to_thread(served.look_again)
                async for number, _ in events:
                    seen.append(number)
    task_id, last = item["task"]["id"], str(seen[-1])
    rest = await client.stream("SubscribeToTask", id=task_id, last_event_id=last)
    assert state(rest[-1][1]) == "COMPLETED"
    seen += [number for number, _ in rest]
    assert seen == list(range(1, len(seen) + 1))
