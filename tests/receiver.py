"""A webhook's receiver: a real HTTP server that does what a test tells it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.listening import listening

SECONDS = 30


@dataclass
class Received:
    """One request."""

    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes = b""


@dataclass
class Receiver:
    """The requests that have come, and how they are answered: `answer` returns the n-th status.

    A status of 0 is no answer at all.
    """

    answer: Callable[[int], int] = lambda number: 204
    location: str = ""
    ends: bool = True
    """Whether the body of an answer ends."""
    confirmation: Callable[[str], str] = lambda token: token
    """Returns the answer to the question whether it wants notifications, from the token in it."""
    requests: list[Received] = field(default_factory=list)
    port: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook?of=me"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What has come, in order."""
        return [request.body for request in self.requests]

    async def gets(self, count: int) -> None:
        """Wait until so many requests have come; raise TimeoutError if they do not."""
        async with asyncio.timeout(SECONDS):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def says(self, text: bytes) -> Received:
        """Wait for a request with a text in its body, and return the first; or raise TimeoutError.

        The requests before it have come too.
        """
        number = 0
        while text not in (self.requests[number - 1].raw if number else b""):
            number += 1
            await self.gets(number)
        return self.requests[number - 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value
                for name, value in (line.split(": ", 1) for line in head[1:] if line)
            }
            if head[0].startswith("GET "):
                self._confirm(head[0], writer)
                continue
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append(Received({**headers, "": head[0]}, json.loads(body), body))
            status = self.answer(len(self.requests))
            self._arrived.set()
            if status == 0:
                await asyncio.Event().wait()
            more = f"Location: {self.location}\r\n" if self.location else ""
            length = 0 if self.ends else 1
            writer.write(f"HTTP/1.1 {status} X\r\n{more}Content-Length: {length}\r\n\r\n".encode())
            await writer.drain()

    def _confirm(self, line: str, writer: asyncio.StreamWriter) -> None:
        query = parse_qs(urlsplit(line.split()[1]).query)
        assert query["of"] == ["me"]
        answer = self.confirmation(query["validationToken"][0]).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
        writer.write(head.encode() + answer)


@asynccontextmanager
async def receiving(
    answer: Callable[[int], int] = lambda number: 204,
    *,
    location: str = "",
    port: int = 0,
    ends: bool = True,
) -> AsyncIterator[Receiver]:
    """Run a receiver on loopback."""
    receiver = Receiver(answer, location, ends)
    async with listening(receiver.serve, port=port) as receiver.port:
        yield receiver
