"""Requests: ten clients, which ask again as soon as they are answered, on new connections."""

from collections.abc import Awaitable, Callable

from benchmarks.figures import Figure
from benchmarks.peer import Peer, for_a_while
from benchmarks.servers import ALL, FASTA2A
from benchmarks.workload import Workload

CLIENTS, SECONDS = 10, 0.8
PAGE_SIZE = 50


async def sends(peer: Peer) -> Figure:
    """Send messages. Each client sends the next one once it has its completed task."""
    return await _asked(peer, peer.send)


async def gets(peer: Peer) -> Figure:
    """Get a small task."""
    return await _asked(peer, peer.get)


async def large_gets(peer: Peer) -> Figure:
    """Get a task with an artifact of a megabyte."""
    return await _asked(peer, lambda: peer.ask("GetTask", id=peer.large))


async def pages(peer: Peer) -> Figure:
    """List the newest tasks."""
    return await _asked(peer, lambda: peer.ask("ListTasks", pageSize=PAGE_SIZE))


async def _asked(peer: Peer, ask: Callable[[], Awaitable[bytes]]) -> Figure:
    spent = await for_a_while(peer, ask, clients=CLIENTS, seconds=SECONDS)
    return {"per second": spent.rate, "CPU ms": spent.milliseconds}


WORKLOADS = (
    Workload("blocking SendMessage", sends, ALL),
    Workload("GetTask, small", gets, ALL),
    Workload("GetTask, 1 MB", large_gets),
    Workload("ListTasks, 50 of {tasks:,}", pages, undone={FASTA2A: "not supported"}),
)
