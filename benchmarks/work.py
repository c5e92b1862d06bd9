"""Work: what each server of a comparison is given to do."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

from benchmarks.wire import answer
from tests.rpc import told
from tests.servers import Process

CLIENTS = 10
SENDS, STREAM_CHUNKS, READS, PAGES = 300, 100, 400, 100
PAGE_SIZE = 50
MEGABYTE = 1_000_000
EVENT = re.compile(rb"^data: ", re.MULTILINE)
TASK_ID = re.compile(rb'"task": ?\{"id": ?"([^"]+)"')


@dataclass
class Peer:
    """A server, and where its load agent is."""

    name: str
    process: Process
    path: str
    small: str = ""
    """A small task that it has."""
    large: str = ""
    """One of a megabyte."""

    async def ask(self, method: str, *, expect: bytes = b'"result"', **params: object) -> bytes:
        """Make a request and give all of the answer."""
        async with answer(self.process, self.path, method, **params) as reader:
            said = await reader.read()
        assert expect in said, said[-1000:]
        return said

    async def send(self, method: str = "SendMessage", *, chunks: int = 1, size: int = 32) -> bytes:
        """Send a message and give all of the answer, which has the end of the task."""
        message = told(chunks=chunks, size=size)
        return await self.ask(method, expect=b"TASK_STATE_COMPLETED", message=message)

    async def fill(self, tasks: int) -> None:
        """Let it have so many tasks, a small and a large one among them."""
        await _at_once(tasks, self.send)
        self.small, self.large = [await self._task(size) for size in (32, MEGABYTE)]

    async def _task(self, size: int) -> str:
        found = TASK_ID.search(await self.send(size=size))
        assert found is not None
        return found[1].decode()

    def cpu(self) -> float:
        """Give the seconds that the server's process has computed."""
        spent = psutil.Process(self.process.pid).cpu_times()
        return spent.user + spent.system


@dataclass(frozen=True)
class Figure:
    """What one round of a work has shown."""

    rate: float
    """Units a second."""
    cpu: float
    """Milliseconds of the server's CPU for each unit."""


async def sends(peer: Peer) -> int:
    """Send messages, each client the next one as soon as it has its completed task."""
    return await _at_once(SENDS, peer.send)


async def streams(peer: Peer) -> int:
    """Read some streams at the same time, each to its end; the unit is an event."""
    asked = [peer.send("SendStreamingMessage", chunks=STREAM_CHUNKS) for _ in range(CLIENTS)]
    events = sum([len(EVENT.findall(said)) for said in await asyncio.gather(*asked)])
    assert events >= CLIENTS * STREAM_CHUNKS
    return events


async def gets(peer: Peer) -> int:
    """Get a small task."""
    return await _at_once(READS, lambda: peer.ask("GetTask", id=peer.small))


async def large_gets(peer: Peer) -> int:
    """Get a task with an artifact of a megabyte."""
    return await _at_once(READS // 10, lambda: peer.ask("GetTask", id=peer.large))


async def pages(peer: Peer) -> int:
    """List the newest tasks."""
    return await _at_once(PAGES, lambda: peer.ask("ListTasks", pageSize=PAGE_SIZE))


async def nothing(peer: Peer) -> int:
    """Ask a view that does nothing."""
    return await _at_once(READS, lambda: peer.ask("Nothing", expect=b"{}"))


WORK: dict[str, Callable[[Peer], Awaitable[int]]] = {
    "blocking SendMessage": sends,
    "stream events": streams,
    "GetTask, small": gets,
    "GetTask, 1 MB": large_gets,
    "ListTasks": pages,
}


async def measured(work: Callable[[Peer], Awaitable[int]], peer: Peer) -> Figure:
    """Let a server do a work once."""
    spent, begun = peer.cpu(), time.perf_counter()
    units = await work(peer)
    seconds = time.perf_counter() - begun
    return Figure(units / seconds, (peer.cpu() - spent) / units * 1e3)


async def _at_once(count: int, ask: Callable[[], Awaitable[bytes]]) -> int:
    async def client() -> None:
        for _ in range(count // CLIENTS):
            await ask()

    await asyncio.gather(*[client() for _ in range(CLIENTS)])
    return count // CLIENTS * CLIENTS
