"""Webhooks: how many notifications per second a receiver gets that answers at once."""

import asyncio
import time

from benchmarks.figures import Figure
from benchmarks.peer import COMPLETED, Peer
from benchmarks.servers import FASTA2A, OURS_WORKERS, SOME
from benchmarks.workload import Workload
from tests.receiver import Receiver, receiving
from tests.wire import load_message, state

TASKS, CHUNKS = 20, 20


async def notifications(peer: Peer) -> Figure:
    """Begin tasks with webhooks at the same time, and wait until all have notified their end."""
    async with receiving() as receiver:
        cpu, begun = peer.cpu(), time.perf_counter()
        await asyncio.gather(*[_send(peer, receiver) for _ in range(TASKS)])
        while sum(state(body) == "COMPLETED" for body in receiver.bodies) < TASKS:
            await receiver.gets(len(receiver.bodies) + 1)
        seconds, cpu = time.perf_counter() - begun, peer.cpu() - cpu
        count = len(receiver.bodies)
    assert count >= TASKS * CHUNKS, f"{count} notifications of {TASKS * CHUNKS}"
    return {"per second": count / seconds, "CPU ms": cpu / count * 1e3}


async def _send(peer: Peer, receiver: Receiver) -> None:
    configuration = {"taskPushNotificationConfig": {"url": receiver.url}}
    await peer.ask(
        "SendMessage",
        expect=COMPLETED,
        message=load_message(chunks=CHUNKS),
        configuration=configuration,
    )


WORKLOADS = (
    Workload(
        "Webhooks",
        notifications,
        servers=(*SOME, OURS_WORKERS),
        undone={FASTA2A: "not supported"},
        start={"push": True},
    ),
)
