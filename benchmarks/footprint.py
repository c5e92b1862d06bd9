"""Footprint: how long a server takes to start, and how much memory it holds."""

import time

from benchmarks.figures import Figure
from benchmarks.peer import Peer, for_a_while
from benchmarks.servers import OURS_WORKERS, SOME
from benchmarks.workload import Workload

CLIENTS, SECONDS = 10, 3.0
ABSENT = "00000000-0000-7000-8000-000000000000"


async def footprint(peer: Peer) -> Figure:
    """Measure a server that has just started, and again after some work."""
    begun = time.perf_counter()
    await peer.ask("GetTask", id=ABSENT, expect=b'"error"')
    first = time.perf_counter() - begun
    rest = peer.memory()
    spent = await for_a_while(peer, peer.send, clients=CLIENTS, seconds=SECONDS)
    return {
        "seconds to the first answer": peer.started + first,
        "MB at rest": rest,
        "MB under load": peer.memory(),
        "messages sent meanwhile": spent.units,
    }


WORKLOADS = (
    Workload(
        "Start and memory",
        footprint,
        servers=(*SOME, OURS_WORKERS),
        start={},
        afresh=True,
        one_in=3,
        less=True,
    ),
)
