"""Connections that are kept: what comes after a request of ours on the same one is not ours."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.conftest import Serve
from tests.servers import Process
from tests.wire import HEADERS, envelope, load_message

SECONDS = 20.0
# A page of the project that runs in a thread, as most of Django does.
PAGE = "/admin/login/"
OURS = "/a2a/load/"
# More than a server reads before it makes the client wait.
LARGE = envelope("ListTasks", {"pageToken": "x" * 200_000})
STREAM = envelope("SendStreamingMessage", {"message": load_message(chunks=3)})
ANSWERED = envelope("SendMessage", {"message": load_message(chunks=1)})


async def follow(served: Process, request: object) -> list[int]:
    """Send a request, and then ask for the page; return the status of each."""
    one = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=served.url, limits=one, timeout=SECONDS) as client:
        answers = [await client.post(OURS, json=request, headers=HEADERS)]
        connection = answers[0].extensions["network_stream"]
        for _ in range(2):
            answers.append(await client.get(PAGE))
            assert answers[-1].extensions["network_stream"] is connection
        return [answer.status_code for answer in answers]


async def pipeline(served: Process, *requests: bytes) -> int:
    """Send requests at once, the last of which closes; return how many are answered with 200."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"".join(requests))
        await writer.drain()
        answers = await reader.read()
        writer.close()
    return answers.count(b"HTTP/1.1 200 OK")


def post(request: Any) -> bytes:
    body = json.dumps(request).encode()
    head = (
        f"POST {OURS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"A2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(*, last: bool) -> bytes:
    close = "Connection: close\r\n" if last else ""
    return f"GET {PAGE} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n".encode()


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
async def test_a_page_of_the_project_follows_on_the_same_connection(
    serve: Serve, server: Any
) -> None:
    served = serve(server=server)
    for request in (LARGE, STREAM, ANSWERED):
        assert await follow(served, request) == [200, 200, 200]
    for request in (ANSWERED, LARGE, STREAM):
        sent = post(request), get(last=False), post(request), get(last=True)
        assert await pipeline(served, *sent) == 4
