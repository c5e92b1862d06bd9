"""Reads for answers: what is large waits for room in memory, and has it until it is sent."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from a2a_app import conf, database, protocol
from a2a_app.concurrency.budget import reserve
from a2a_app.operations.call import Call
from a2a_app.store.events import LargeReadError
from a2a_app.store.reads.pages import task_page
from a2a_app.store.reads.tasks import read_snapshot

T = TypeVar("T")


async def read_task(
    call: Call, task_id: str, *, history_length: int | None = None, at: int | None = None
) -> protocol.Task:
    """Read the task that answers a call. The arguments and errors are those of `read_snapshot`."""
    read = partial(read_snapshot, call.scope, task_id, history_length=history_length, at=at)
    snapshot = await _read(call, read)
    return snapshot.task


async def read_page(call: Call, params: protocol.ListTasksRequest) -> protocol.ListTasksResponse:
    """Read the page of tasks that answers a call; see `task_page`."""
    return await _read(call, partial(task_page, call.scope, params))


async def _read(call: Call, read: Callable[..., T]) -> T:
    """Read what answers a call. It is asked for in vain first only where it is large.

    Args:
        call: The call, which holds the room for a large answer.
        read: Takes `most`, and raises LargeReadError where it would read more.
    """
    try:
        return await database.read(read, most=conf.current().stream_bytes)
    except LargeReadError as large:
        room = reserve(call.scope.owner, large.size)
    call.held.append(room)
    await room.wait()
    return await database.read(read)
