"""WebSockets of real servers, with a client library that others use."""

import asyncio
import json
import socket
from typing import Any, Literal

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.clients.frames import frames_of
from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.wire import envelope, load_message, state

SECONDS = 60
STREAMS = 8
LARGE = 3 * 1024 * 1024
SETTINGS = {"WEBSOCKET": True, "READER_SECONDS": 0.5}
CUT = "which took nothing for 0.5 seconds"


async def ask(client: ClientConnection, request_id: int, method: str, **params: Any) -> None:
    await client.send(json.dumps({**envelope(method, params), "id": request_id}))


def small_socket(port: int) -> socket.socket:
    """Return a connection for which the system takes little that its client has not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_many_streams_over_one_connection_and_readers_that_do_not_read(
    serve: Serve, kind: Literal["daphne", "uvicorn"]
) -> None:
    served = serve(server=kind, **SETTINGS)
    url = served.url.replace("http", "ws", 1) + "/a2a/load/"
    async with asyncio.timeout(SECONDS), connect(url, subprotocols=["a2a.v1"]) as client:  # type: ignore[list-item]  # a text of its own type
        assert client.subprotocol == "a2a.v1"
        for number in range(STREAMS):
            await ask(client, number, "SendStreamingMessage", message=load_message(chunks=50))
        for frames in (await frames_of(client, STREAMS)).values():
            numbers = [int(frame["eventId"]) for frame in frames[:-1]]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert state(frames[-2]["result"]) == "COMPLETED"
        async with SocketClient(served.url) as other:
            task = await other.send(load_message(size=LARGE, end="input-required"))
        options: Any = {"max_size": None, "max_queue": 1, "compression": None}
        async with connect(url, sock=small_socket(served.port), **options) as idle:
            for number in range(STREAMS):
                await ask(idle, number, "GetTask", id=task["id"])
            await served.says(CUT)
            # Nobody else waits meanwhile.
            await ask(client, 1, "ListTasks", pageSize=1)
            assert "result" in json.loads(await client.recv())
            with pytest.raises(ConnectionClosed):
                for _ in range(STREAMS):
                    await idle.recv()
        with pytest.raises(InvalidStatus, match="403"):
            await connect(url.replace("load", "none"))
