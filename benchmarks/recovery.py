"""Recovery: how long after a kill -9 until another process works on the task."""

import asyncio
import time

import psycopg

from benchmarks.figures import Figure
from benchmarks.peer import Peer, task_id
from benchmarks.servers import (
    FASTA2A,
    OURS,
    OURS_WORKERS,
    SDK_CLUSTER,
    SDK_MEMORY,
    SDK_POSTGRESQL,
    Server,
)
from benchmarks.workload import NotDoneError, Workload
from tests.servers import Process
from tests.wire import load_message

WATCH_SECONDS = 35.0
# The load agent whose author allows another attempt after a crash.
RETRIED = "/a2a/load-retry/"
LOST = "never: it was in memory"
NEVER = {SDK_MEMORY: LOST, FASTA2A: LOST, SDK_POSTGRESQL: "never: no other process looks"}
HOLDER = "SELECT worker FROM a2a_app_run WHERE task_id = %s"
WORKING = b"TASK_STATE_WORKING"


async def taken_over(peer: Peer) -> Figure:
    """Kill the process that works on a task, and watch the task's stream in another process."""
    path = RETRIED if peer.product == "a2a_app" else ""
    load = load_message(chunks=0, end="hang")
    configuration = {"returnImmediately": True}
    said = await peer.ask("SendMessage", path=path, message=load, configuration=configuration)
    task = task_id(said)
    async with peer.open("SubscribeToTask", front=1, path=path, id=task) as reader:
        # The stream has shown that the first attempt began. The next one to begin is another.
        await _working(reader)
        holder = _holder(peer, task)
        begun = time.perf_counter()
        holder.kill()
        try:
            async with asyncio.timeout(WATCH_SECONDS):
                await _working(reader)
        except TimeoutError:
            raise NotDoneError(f"never: still working after {WATCH_SECONDS:.0f} s") from None
        return {"seconds": time.perf_counter() - begun}


def _holder(peer: Peer, task: str) -> Process:
    """Return the process that works on a task. With the SDK it is the one that was asked."""
    if peer.product != "a2a_app":
        return peer.processes[0]
    with psycopg.connect(peer.database_url) as connection:
        row = connection.execute(HOLDER, (task,)).fetchone()
    assert row is not None
    [process] = [each for each in peer.processes if f"-{each.pid}-" in row[0]]
    return process


async def _working(reader: asyncio.StreamReader) -> None:
    """Wait until a stream shows that its task is being worked on."""
    while WORKING not in (line := await reader.readline()):
        if not line:
            raise NotDoneError("its stream ended")


def _workload(name: str, *others: Server, **settings: float) -> Workload:
    return Workload(
        name,
        taken_over,
        servers=(*others, OURS, OURS_WORKERS),
        undone={server: why for server, why in NEVER.items() if server in others},
        start={"fronts": 2, "workers": 2, **settings},
        afresh=True,
        one_in=3,
        less=True,
    )


WORKLOADS = (
    _workload("Taken over after kill -9, with the default lease of 15 s", *NEVER, SDK_CLUSTER),
    _workload("Taken over after kill -9, with a lease of 3 s", LEASE_SECONDS=3, SWEEP_SECONDS=1),
)
