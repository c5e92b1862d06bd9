"""The wire: requests on bare sockets, so that no client library is measured with the server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.servers import Process
from tests.wire import envelope


@asynccontextmanager
async def answer(
    server: Process, path: str, method: str, **params: Any
) -> AsyncIterator[asyncio.StreamReader]:
    """Make one JSON-RPC request on a connection of its own, and yield the answer to read."""
    body = json.dumps(envelope(method, params)).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"A2A-Version: 1.0\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(head.encode() + body)
        yield reader
    finally:
        writer.close()


async def page(server: Process, path: str, **cookies: str) -> bytes:
    """Get a page on a connection of its own, and return the whole answer."""
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        writer.write(f"{head}Cookie: {cookie}\r\n\r\n".encode())
        said = await reader.read()
    finally:
        writer.close()
    assert said.startswith(b"HTTP/1.1 200"), said[:500].decode(errors="replace")
    return said
