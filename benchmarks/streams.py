"""Streams: many at the same time, each of its own task, each read to its end."""

import asyncio
import time
from functools import partial
from statistics import median

from benchmarks.figures import Figure
from benchmarks.peer import COMPLETED, Peer, first_event
from benchmarks.servers import OURS_UVICORN, OURS_WORKERS, SOME
from benchmarks.workload import Workload
from tests.wire import load_message


async def at_once(peer: Peer, *, streams: int, chunks: int) -> Figure:
    """Read as many streams at the same time."""
    cpu, begun = peer.cpu(), time.perf_counter()
    read = await asyncio.gather(*[_stream(peer, chunks) for _ in range(streams)])
    seconds, cpu = time.perf_counter() - begun, peer.cpu() - cpu
    events = sum(seen for _, seen in read)
    return {
        "events per second": events / seconds,
        "CPU ms": cpu / events * 1e3,
        "first event, ms": median(first for first, _ in read) * 1e3,
    }


async def _stream(peer: Peer, chunks: int) -> tuple[float, int]:
    """Return the seconds until the first event, and the number of events."""
    begun = time.perf_counter()
    async with peer.open("SendStreamingMessage", message=load_message(chunks=chunks)) as reader:
        first = await first_event(reader)
        seconds = time.perf_counter() - begun
        said = first + await reader.read()
    assert COMPLETED in said, said[-500:].decode(errors="replace")
    # The stream begins with the task. Its first chunks may be in there.
    assert said.count(b'"artifactUpdate"') > chunks / 2
    return seconds, said.count(b"\ndata: ")


WORKLOADS = (
    Workload("10 streams of 100 chunks", partial(at_once, streams=10, chunks=100)),
    Workload(
        "100 streams of 10 chunks",
        partial(at_once, streams=100, chunks=10),
        servers=(*SOME, OURS_WORKERS),
    ),
    Workload(
        "1,000 streams of 2 chunks",
        partial(at_once, streams=1000, chunks=2),
        servers=tuple(each for each in (*SOME, OURS_WORKERS) if each != OURS_UVICORN),
        one_in=3,
    ),
)
