"""Delays: how long an event takes from the agent that writes it to the clients that watch.

The agents write the time into each chunk. The clients compare it with the same clock.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.figures import Figure
from benchmarks.peer import Peer
from benchmarks.servers import (
    FASTA2A,
    OURS,
    OURS_SQLITE,
    OURS_WORKERS,
    SDK_CLUSTER,
    SDK_MEMORY,
    SDK_POSTGRESQL,
    SOME,
    Server,
)
from benchmarks.workload import Workload

CHUNKS, DELAY = 24, 0.1
WRITTEN = re.compile(rb'"text":\s*"(\d+) (\d+\.\d+) ')
OWN_ONLY = "never: its streams see only their own process"


@dataclass(frozen=True)
class Watched:
    """Some tasks, each watched by some streams, in the process that began it or in the next."""

    tasks: int
    streams: int
    front: int

    async def delays(self, peer: Peer) -> Figure:
        """Watch them. Only the second half of the chunks counts, and every stream must show it."""
        begun = await asyncio.gather(
            *[peer.begin(chunks=CHUNKS, delay=DELAY) for _ in range(self.tasks)]
        )
        cpu = peer.cpu()
        each = await asyncio.gather(
            *[self._watch(peer, task) for task in begun for _ in range(self.streams)]
        )
        cpu = peer.cpu() - cpu
        found = sorted(delay for stream in each for delay in stream)
        return {
            "median, ms": median(found),
            "p99, ms": quantiles(found, n=100, method="inclusive")[98],
            "longest, ms": found[-1],
            "CPU ms per event": cpu / (len(each) * CHUNKS) * 1e3,
        }

    async def _watch(self, peer: Peer, task_id: str) -> list[float]:
        found: dict[int, float] = {}
        async with peer.open("SubscribeToTask", front=self.front, id=task_id) as reader:
            while line := await reader.readline():
                now = time.time()
                if b'"artifactUpdate"' in line:
                    found |= {int(n): (now - float(at)) * 1e3 for n, at in WRITTEN.findall(line)}
        counted = range(CHUNKS // 2, CHUNKS)
        missing = [number for number in counted if number not in found]
        assert not missing, f"chunks {missing} did not come"
        return [found[number] for number in counted]


def _workload(name: str, watched: Watched, servers: tuple[Server, ...]) -> Workload:
    return Workload(
        name,
        watched.delays,
        servers=servers,
        undone=dict.fromkeys((SDK_MEMORY, SDK_POSTGRESQL, FASTA2A), OWN_ONLY)
        if watched.front
        else {},
        start={"fronts": 2} if watched.front else None,
        at_once=True,
        less=True,
    )


ACROSS = (SDK_MEMORY, SDK_POSTGRESQL, SDK_CLUSTER, FASTA2A, OURS_SQLITE, OURS, OURS_WORKERS)
WORKLOADS = (
    _workload(
        "1 task with 100 streams, in its own process", Watched(1, 100, 0), (*SOME, OURS_WORKERS)
    ),
    _workload("1 task with 100 streams, in another process", Watched(1, 100, 1), ACROSS),
    _workload("5 tasks with 1 stream each, in another process", Watched(5, 1, 1), ACROSS),
)
