"""Attack a server by what one caller reads, or does not read, and print what it costs the others.

    python -m benchmarks.readers [--server daphne]

Each attack is on a fresh server on SQLite, and another caller asks for a small page meanwhile. The
limits are those that the settings have by default.
"""

import argparse
import asyncio
import json
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import psutil

from tests.clients.sockets import SocketClient
from tests.servers import Process, served
from tests.wire import HEADERS, envelope, load_message

SERVERS: tuple[Literal["daphne", "uvicorn"], ...] = ("daphne", "uvicorn")
MEGABYTE = 1024 * 1024
LARGE = 9 * MEGABYTE
SECONDS = 12.0
"""How long an attack is watched."""


@dataclass
class Attack:
    """One attack under way: the server, who makes it, and what was seen."""

    process: Process
    client: SocketClient
    stack: ExitStack
    small: list[float] = field(default_factory=list)
    """How long each of another's requests took, in seconds."""
    answers: list[str] = field(default_factory=list)
    before: int = 0
    """How many bytes the server had in memory when the attack began."""
    most: int = 0

    @property
    def memory(self) -> int:
        """How many bytes the server has in memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def begin(self) -> None:
        """Begin, now that what it needs is there."""
        self.before = self.memory

    def ask(self, method: str, **params: Any) -> None:
        """Send a request over a connection of which nothing is read."""
        body = json.dumps(envelope(method, params)).encode()
        headers = {**HEADERS, "Host": "127.0.0.1", "Content-Type": "application/json"}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(["POST /a2a/load/ HTTP/1.1", *lines, f"Content-Length: {len(body)}"])
        connection = self.stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self.process.port))
        connection.sendall(head.encode() + b"\r\n\r\n" + body)

    async def watch(self) -> None:
        """Ask for a small page again and again, as another caller does."""
        until = time.monotonic() + SECONDS
        async with SocketClient(self.process.url, "echo") as other:
            while time.monotonic() < until:
                begun = time.perf_counter()
                with suppress(httpx.TimeoutException):  # that took 30 seconds
                    await other.result("ListTasks", pageSize=5)
                self.small.append(time.perf_counter() - begun)
                self.most = max(self.most, self.memory)
                await asyncio.sleep(0.02)


Make = Callable[[Attack], Awaitable[None]]


async def streams_of_a_large_task(attack: Attack) -> None:
    """60 streams of one task with 9 MB, of which nothing is read."""
    task = await attack.client.send(load_message(size=LARGE, end="input-required"))
    attack.begin()
    for _ in range(60):
        attack.ask("SubscribeToTask", id=task["id"])


async def one_very_large_stream(attack: Attack) -> None:
    """One stream of 270 MB, of which nothing is read."""
    attack.begin()
    attack.ask("SendStreamingMessage", message=load_message(chunks=30, size=LARGE))


async def many_streams(attack: Attack) -> None:
    """900 idle streams of one caller."""
    task = await attack.client.send(load_message(chunks=0, end="input-required"))
    attack.begin()
    for _ in range(900):
        attack.ask("SubscribeToTask", id=task["id"])


async def large_pages(attack: Attack) -> None:
    """Twelve pages at once of 30 tasks with 9 MB each, which are read."""
    for _ in range(30):
        await attack.client.send(load_message(chunks=0) | {"parts": _parts(LARGE)})
    attack.begin()
    reading = [attack.client.http.post(**_listing(attack.client)) for _ in range(12)]
    answers = asyncio.gather(*reading, return_exceptions=True)
    await attack.watch()
    sizes = [len(each.content) // MEGABYTE for each in await answers if hasattr(each, "content")]
    attack.answers.append(f"{len(sizes)} answers of {max(sizes, default=0)} MB at most")


def _parts(size: int) -> list[dict[str, str]]:
    return [{"text": '{"chunks": 0}'}, {"text": " " * size}]


def _listing(client: SocketClient) -> dict[str, Any]:
    return {
        "url": client.url,
        "json": envelope("ListTasks", {"pageSize": 30}),
        "headers": client.headers,
        "timeout": 120,
    }


ATTACKS: tuple[Make, ...] = (
    streams_of_a_large_task,
    one_very_large_stream,
    many_streams,
    large_pages,
)


async def run(server: Literal["daphne", "uvicorn"], make: Make) -> str:
    """Make an attack, and return its line of the table."""
    with served("sqlite", server) as process, ExitStack() as stack:
        async with SocketClient(process.url) as client:
            attack = Attack(process, client, stack)
            await make(attack)
            if not attack.small:
                await attack.watch()
            middle, worst = statistics.median(attack.small), max(attack.small)
            doc = (make.__doc__ or "").strip().rstrip(".")
            seen = "; ".join([doc, *attack.answers])
            grown = (attack.most - attack.before) // MEGABYTE
            return f"| {seen} | {server} | {grown} MB | {middle:.3f} s | {worst:.3f} s |"


def main() -> None:
    """Make all attacks on each server, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=SERVERS, help="attack this one only")
    chosen = parser.parse_args().server
    servers = [chosen] if chosen else SERVERS
    print("| Attack | Server | Memory | Another's page, median | worst |")
    print("| --- | --- | ---: | ---: | ---: |")
    for make in ATTACKS:
        for server in servers:
            print(asyncio.run(run(server, make)), flush=True)


if __name__ == "__main__":
    main()
