"""Idle: what streams cost while nothing happens."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.figures import Figure
from benchmarks.peer import Peer, first_event
from benchmarks.servers import OURS, OURS_SQLITE, OURS_WORKERS, SDK_CLUSTER, SOME, Server
from benchmarks.workload import Workload

# A few streams come first, so that what the first ones load is not counted.
FEW, MANY = 30, 300
SETTLE_SECONDS, WATCH_SECONDS = 1.0, 3.0


async def idle(peer: Peer, *, front: int) -> Figure:
    """Hold many streams of one task that never ends, in its own process or in the next."""
    task = await peer.begin(chunks=0, end="hang")
    async with AsyncExitStack() as stack:
        await _open(peer, front, task, FEW, stack)
        before = peer.memory()
        await _open(peer, front, task, MANY, stack)
        after, cpu = peer.memory(), peer.cpu()
        await asyncio.sleep(WATCH_SECONDS)
        cpu = peer.cpu() - cpu
    return {
        "KB per stream": (after - before) * 1e3 / MANY,
        f"% of a core, {FEW + MANY} streams": cpu / WATCH_SECONDS * 100,
    }


async def _open(peer: Peer, front: int, task_id: str, count: int, stack: AsyncExitStack) -> None:
    for _ in range(count // 10):
        opening = [
            stack.enter_async_context(peer.open("SubscribeToTask", front=front, id=task_id))
            for _ in range(10)
        ]
        readers = await asyncio.gather(*opening)
        await asyncio.gather(*[first_event(reader) for reader in readers])
    await asyncio.sleep(SETTLE_SECONDS)


def _workload(name: str, servers: tuple[Server, ...], *, front: int) -> Workload:
    return Workload(
        name,
        partial(idle, front=front),
        servers=servers,
        start={"fronts": front + 1},
        afresh=True,
        one_in=3,
        less=True,
    )


WORKLOADS = (
    _workload("Idle streams", SOME, front=0),
    _workload(
        "Idle streams in another process than the agent's",
        (SDK_CLUSTER, OURS_SQLITE, OURS, OURS_WORKERS),
        front=1,
    ),
)
