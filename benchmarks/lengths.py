"""Lengths: what a chunk costs in a short stream and in a long one, one stream at a time."""

import asyncio
import time

from benchmarks.figures import Figure
from benchmarks.peer import COMPLETED, Peer
from benchmarks.servers import SOME
from benchmarks.workload import NotDoneError, Workload
from tests.wire import load_message

LENGTHS = (100, 800, 3_200, 12_800)
# A server that takes longer for one stream is asked for no longer ones. Their cells stay empty.
LIMIT_SECONDS = 12.0


async def by_length(peer: Peer) -> Figure:
    """Read streams, each longer than the one before, until one takes too long."""
    await peer.send()
    figure: dict[str, float] = {}
    for chunks in LENGTHS:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await _read(peer, chunks)
        except TimeoutError:
            if not figure:
                raise NotDoneError(
                    f"{chunks} chunks take more than {LIMIT_SECONDS:.0f} s"
                ) from None
            break
        figure[column(chunks)] = (time.perf_counter() - begun) / chunks * 1e3
    return figure


async def _read(peer: Peer, chunks: int) -> None:
    last = b""
    async with peer.open("SendStreamingMessage", message=load_message(chunks=chunks)) as reader:
        while piece := await reader.read(2**16):
            last = last[-500:] + piece
    assert COMPLETED in last, last


def column(chunks: int) -> str:
    """Return the name of a length's column."""
    return f"ms per chunk, of {chunks:,}"


WORKLOADS = (
    Workload(
        "One stream, by its length",
        by_length,
        servers=SOME,
        start={},
        afresh=True,
        one_in=3,
        less=True,
    ),
)
