"""Measure what each kind of process spends on a turn and on a chunk.

    python -m benchmarks.roles [rounds]

One daphne, one worker, PostgreSQL and Redis share the machine. The figures are their processor
time and not the time that passes, so that they do not disturb each other. They are the basis for
reckoning how many processes a larger site needs.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from statistics import quantiles

import psutil

from benchmarks.wire import answer
from tests.cluster import Cluster
from tests.servers import Process, fresh_database, postgresql, redis
from tests.wire import load_message

ROUNDS = 5
ROUND_SECONDS = 300.0
PATH = "/a2a/load/"
TURNS = 200
# As fast as a language model writes. Each chunk comes alone, and gets its own transaction.
STREAMS, CHUNKS, DELAY = 20, 100, 0.02
# Written as fast as the store takes them, many in one transaction.
BURST = 2_000


async def turns(server: Process) -> int:
    """Have many short turns, ten at a time, and return how many."""

    async def client() -> None:
        for _ in range(TURNS // 10):
            async with answer(
                server, PATH, "SendMessage", message=load_message(chunks=0)
            ) as reader:
                assert b"TASK_STATE_COMPLETED" in await reader.read()

    await asyncio.gather(*[client() for _ in range(10)])
    return TURNS


async def events(server: Process) -> int:
    """Have streams of chunks that come one by one, and return how many chunks."""
    load = {"chunks": CHUNKS, "delay": DELAY}
    await asyncio.gather(*[_stream(server, **load) for _ in range(STREAMS)])
    return STREAMS * CHUNKS


async def burst(server: Process) -> int:
    """Have a stream of chunks as fast as they are taken, and return how many chunks."""
    await _stream(server, chunks=BURST)
    return BURST


async def _stream(server: Process, **load: float) -> None:
    async with answer(server, PATH, "SendStreamingMessage", message=load_message(**load)) as reader:
        assert b"TASK_STATE_COMPLETED" in await reader.read()


WORK: dict[str, Callable[[Process], Awaitable[int]]] = {
    "a turn without chunks": turns,
    "a chunk, one at a time": events,
    "a chunk, in a burst": burst,
}


def spent(pid: int) -> float:
    """Return the processor seconds of a process and its children, ended ones included."""
    root = psutil.Process(pid)
    ended = root.cpu_times()
    total = ended.children_user + ended.children_system
    for process in (root, *root.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return float(total)


async def measure(
    server: Process, pids: dict[str, int], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Have the cluster do each kind of work in turn. The first round does not count."""
    found: dict[str, dict[str, list[float]]] = {name: {role: [] for role in pids} for name in WORK}
    for number in range(rounds + 1):
        for name, work in WORK.items():
            before = {role: spent(pid) for role, pid in pids.items()}
            async with asyncio.timeout(ROUND_SECONDS):
                count = await work(server)
            for role, pid in pids.items():
                if number:
                    found[name][role].append((spent(pid) - before[role]) / count * 1e6)
    return found


def main(rounds: int) -> None:
    """Measure and print the table."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database("postgresql"))
        cluster = stack.enter_context(Cluster(database_url=url))
        server, worker = cluster.server(), cluster.worker()
        pids = {
            "worker": worker.pid,
            "server": server.pid,
            "PostgreSQL": postgresql().get_pid(),
            "Redis": redis().pid,
        }
        found = asyncio.run(measure(server, pids, rounds))
    print(f"Microseconds of processor time; {rounds} rounds\n")
    print(f"{'':<24}" + "".join(f"{role:>24}" for role in pids))
    for name, figures in found.items():
        cells = ""
        for each in figures.values():
            low, middle, high = quantiles(each, n=4, method="inclusive")
            cells += f"{f'{middle:,.0f} ({low:,.0f}-{high:,.0f})':>24}"
        print(f"{name:<24}{cells}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
