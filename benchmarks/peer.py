"""Peer: a running server, and what its clients do."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import psutil

from benchmarks.wire import answer
from tests.servers import Process
from tests.wire import load_message

Product = Literal["SDK", "FastA2A", "a2a_app", "the floor"]
TASK_ID = re.compile(rb'"task": ?\{"id": ?"([^"]+)"')
COMPLETED = b"TASK_STATE_COMPLETED"


@dataclass
class Peer:
    """A server's processes, of which the first speak HTTP, and two of its tasks."""

    product: Product
    database_url: str
    processes: tuple[Process, ...]
    started: float = 0.0
    """How many seconds they took to start."""
    small: str = ""
    """A task with an artifact of 32 bytes."""
    large: str = ""
    """One with an artifact of a megabyte."""

    @property
    def path(self) -> str:
        """The path of its load agent."""
        return "/a2a/load/" if self.product == "a2a_app" else "/"

    @asynccontextmanager
    async def open(
        self, method: str, *, front: int = 0, path: str = "", **params: Any
    ) -> AsyncIterator[asyncio.StreamReader]:
        """Make a request to one of the processes, and yield the answer to read."""
        async with answer(self.processes[front], path or self.path, method, **params) as reader:
            yield reader

    async def ask(self, method: str, *, expect: bytes = b'"result"', **params: Any) -> bytes:
        """Make a request, and return the whole answer."""
        async with self.open(method, **params) as reader:
            said = await reader.read()
        assert expect in said, said[-500:].decode(errors="replace")
        return said

    async def send(self, **load: Any) -> bytes:
        """Send a message, and return the answer with the completed task.

        FastA2A's SendMessage does not wait for the end, so its client polls. The floor commits a
        row twice, and knows no tasks.
        """
        if self.product == "the floor":
            return await self.ask("Nothing", path="/commits/", expect=b"{}")
        if self.product != "FastA2A":
            return await self.ask("SendMessage", expect=COMPLETED, message=load_message(**load))
        return await self.ended(await self.begin(**load))

    async def get(self) -> bytes:
        """Get the small task. The floor reads a row instead."""
        if self.product == "the floor":
            return await self.ask("Nothing", path="/read/", expect=b"{}")
        return await self.ask("GetTask", id=self.small)

    async def begin(self, **load: Any) -> str:
        """Send a message without waiting for the end, and return the task's id."""
        configuration = {"returnImmediately": True}
        said = await self.ask(
            "SendMessage", message=load_message(**load), configuration=configuration
        )
        return task_id(said)

    async def ended(self, task_id: str) -> bytes:
        """Ask for a task until it is completed, and return the last answer."""
        while COMPLETED not in (said := await self.ask("GetTask", id=task_id)):
            pass
        return said

    def cpu(self) -> float:
        """Return the seconds of CPU that its processes have used."""
        each = [psutil.Process(process.pid).cpu_times() for process in self.processes]
        return float(sum(times.user + times.system for times in each))

    def memory(self) -> float:
        """Return the megabytes that its processes hold."""
        each = [psutil.Process(process.pid).memory_info().rss for process in self.processes]
        return float(sum(each)) / 1e6


async def first_event(reader: asyncio.StreamReader) -> bytes:
    """Read a stream until its first event. Fail with what came instead."""
    try:
        return await reader.readuntil(b"\ndata: ")
    except asyncio.IncompleteReadError as error:
        raise AssertionError(error.partial[-500:].decode(errors="replace")) from None


def task_id(said: bytes) -> str:
    """Return the id of the task in an answer."""
    found = TASK_ID.search(said)
    assert found is not None, said[-500:].decode(errors="replace")
    return found[1].decode()


@dataclass(frozen=True)
class Spent:
    """What some units of work took."""

    units: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.seconds

    @property
    def milliseconds(self) -> float:
        """Milliseconds of the server's CPU per unit."""
        return self.cpu / self.units * 1e3


async def for_a_while(
    peer: Peer, ask: Callable[[], Awaitable[object]], *, clients: int, seconds: float
) -> Spent:
    """Have some clients ask again and again, each as soon as it is answered, and count."""
    units, cpu, begun = 0, peer.cpu(), time.perf_counter()

    async def client() -> None:
        nonlocal units
        while time.perf_counter() - begun < seconds:
            await ask()
            units += 1

    await asyncio.gather(*[client() for _ in range(clients)])
    return Spent(units, time.perf_counter() - begun, peer.cpu() - cpu)
