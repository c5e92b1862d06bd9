"""How long an event takes from the process that writes it to a stream of another process.

    python -m benchmarks.across [rounds]

This app with PostgreSQL and Redis: one daphne takes the message, a worker runs the agent, another
daphne has the stream. The official SDK in its cluster mode, with PostgreSQL: one uvicorn takes the
message and runs the agent, another has the stream. The agents write the time into each chunk.
"""

import asyncio
import re
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median, quantiles
from urllib.parse import unquote, urlsplit

from benchmarks.peers import sdk_server
from benchmarks.wire import answer
from tests.cluster import Cluster
from tests.rpc import told
from tests.servers import Process, fresh_database

ROUNDS = 9
ROUND_SECONDS = 120.0
STREAMS, CHUNKS, DELAY = 5, 40, 0.05
TASK_ID = re.compile(rb'"task":\s*\{"id":\s*"([^"]+)"')
WRITTEN = re.compile(rb'"text":\s*"\d+ (\d+\.\d+) ')


@dataclass(frozen=True)
class Site:
    """Two servers that share a database: one to send to, one to stream from."""

    name: str
    here: Process
    there: Process
    path: str

    async def send(self) -> str:
        """Begin a task, and give its id."""
        params = {
            "message": told(chunks=CHUNKS, delay=DELAY),
            "configuration": {"returnImmediately": True},
        }
        async with answer(self.here, self.path, "SendMessage", **params) as reader:
            said = await reader.read()
        match = TASK_ID.search(said)
        assert match, said
        return match[1].decode()

    async def delays(self) -> list[float]:
        """Stream one task; gives for each chunk the milliseconds since it was written."""
        found = []
        task_id = await self.send()
        async with answer(self.there, self.path, "SubscribeToTask", id=task_id) as reader:
            while line := await reader.readline():
                now = time.time()
                if b'"artifactUpdate"' in line:
                    found += [(now - float(at)) * 1e3 for at in WRITTEN.findall(line)]
        # Those that were written before the stream began are in the task that it begins with.
        assert len(found) > CHUNKS / 2, found
        return found


def a2a_app(stack: ExitStack) -> Site:
    """Start this app's servers and worker."""
    url = stack.enter_context(fresh_database("postgresql"))
    cluster = stack.enter_context(Cluster(database_url=url))
    cluster.worker()
    return Site("a2a_app, worker to server", cluster.server(), cluster.server(), "/a2a/load/")


def sdk(stack: ExitStack) -> Site:
    """Start the SDK's servers."""
    url = urlsplit(stack.enter_context(fresh_database("postgresql")))
    assert url.hostname
    database_url = f"postgresql+asyncpg://postgres@{url.path}?host={unquote(url.hostname)}"
    here, there = (sdk_server(database_url, alone=False) for _ in range(2))
    for server in (here, there):
        stack.callback(server.kill)
        server.start()
    return Site("SDK, cluster mode", here, there, "/")


async def measure(sites: list[Site], rounds: int) -> dict[str, list[list[float]]]:
    """Stream from the sites in turn, after one round that does not count."""
    figures: dict[str, list[list[float]]] = {site.name: [] for site in sites}
    for number in range(rounds + 1):
        for site in sites:
            async with asyncio.timeout(ROUND_SECONDS):
                streams = await asyncio.gather(*[site.delays() for _ in range(STREAMS)])
            if number:
                figures[site.name].append([delay for stream in streams for delay in stream])
    return figures


def row(name: str, rounds: list[list[float]]) -> str:
    """Make a line of the table."""
    low, middle, high = quantiles([median(each) for each in rounds], n=4, method="inclusive")
    every = sorted(delay for each in rounds for delay in each)
    late = quantiles(every, n=100, method="inclusive")[98]
    return (
        f"{name:<28} {f'{middle:.1f} ({low:.1f}-{high:.1f})':>20} {late:>8.1f} {every[-1]:>8.1f} "
        f"{len(every):>8,}"
    )


def main(rounds: int) -> None:
    """Measure and print the table."""
    with ExitStack() as stack:
        figures = asyncio.run(measure([a2a_app(stack), sdk(stack)], rounds))
    print(f"Milliseconds from an agent's chunk to a stream on another process; {rounds} rounds\n")
    print(f"{'':<28} {'median':>20} {'p99':>8} {'longest':>8} {'chunks':>8}")
    for name, found in figures.items():
        print(row(name, found))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
