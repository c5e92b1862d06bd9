"""The same work given to this app and to the official SDK with its store in memory.

    python -m benchmarks.peers [rounds]

All on uvicorn, the servers in turn. The SDK stores nothing that a restart would leave.
"""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.wire import answer
from tests.rpc import told
from tests.servers import Process, free_port, fresh_database, web_server

ROUNDS = 9
ROUND_SECONDS = 120.0
CLIENTS = 10
SENDS, STREAM_CHUNKS = 300, 500
EVENT = re.compile(rb"^data: ", re.MULTILINE)


@dataclass(frozen=True)
class Peer:
    """A server, and where its load agent is."""

    name: str
    process: Process
    path: str

    async def ask(self, method: str, chunks: int) -> bytes:
        """Make a request and give all of the answer."""
        request = answer(self.process, self.path, method, message=told(chunks=chunks))
        async with request as reader:
            said = await reader.read()
        assert b"TASK_STATE_COMPLETED" in said, said[-1000:]
        return said


async def sends(peer: Peer) -> float:
    """Give the blocking SendMessage calls per second of a few clients."""

    async def client() -> None:
        for _ in range(SENDS // CLIENTS):
            await peer.ask("SendMessage", chunks=1)

    begin = time.perf_counter()
    await asyncio.gather(*[client() for _ in range(CLIENTS)])
    return SENDS / (time.perf_counter() - begin)


async def streams(peer: Peer) -> float:
    """Give the events per second that a few streams receive at the same time."""
    begin = time.perf_counter()
    asked = [peer.ask("SendStreamingMessage", chunks=STREAM_CHUNKS) for _ in range(CLIENTS)]
    events = sum([len(EVENT.findall(said)) for said in await asyncio.gather(*asked)])
    assert events >= CLIENTS * STREAM_CHUNKS
    return events / (time.perf_counter() - begin)


WORK: dict[str, Callable[[Peer], Awaitable[float]]] = {
    f"blocking SendMessage a second, {CLIENTS} clients": sends,
    f"events a second, {CLIENTS} streams": streams,
}


def sdk_server(database_url: str = "") -> Process:
    """Make, and do not start, a server of the SDK; with a database, one in its cluster mode."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    env = {"SDK_DATABASE_URL": database_url}
    return Process([*command, "benchmarks.sdk_server:application"], env, port)


def peers(stack: ExitStack) -> list[Peer]:
    """Start all servers, the SDK's first."""
    found = [Peer("SDK, in memory", sdk_server(), "/")]
    for database in ("sqlite", "postgresql"):
        url = stack.enter_context(fresh_database(database))
        server = web_server("uvicorn", database_url=url)
        server.command += ["--log-level", "warning"]
        found.append(Peer(f"a2a_app, {database}", server, "/a2a/load/"))
    for peer in found:
        stack.callback(peer.process.kill)
        peer.process.start()
    return found


async def measure(
    found: list[Peer], work: Callable[[Peer], Awaitable[float]], rounds: int
) -> dict[str, list[float]]:
    """Let the servers do the work in turn, after one round that does not count."""
    figures: dict[str, list[float]] = {peer.name: [] for peer in found}
    for number in range(rounds + 1):
        for peer in found:
            async with asyncio.timeout(ROUND_SECONDS):
                figure = await work(peer)
            if number:
                figures[peer.name].append(figure)
    return figures


def main(rounds: int) -> None:
    """Measure and print the tables."""
    with ExitStack() as stack:
        found = peers(stack)
        for title, work in WORK.items():
            figures = asyncio.run(measure(found, work, rounds))
            first = median(figures[found[0].name])
            print(f"\n{title}; {rounds} rounds")
            for name, each in figures.items():
                low, middle, high = quantiles(each, n=4, method="inclusive")
                print(f"{name:<22} {middle:>8,.0f} ({low:,.0f}-{high:,.0f})  {middle / first:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
