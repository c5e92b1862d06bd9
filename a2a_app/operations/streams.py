"""The streams that the streaming operations return.

A stream lives for hours, and a generator keeps its arguments for as long as it lives. So nothing of
the request may be an argument of one: neither the call, nor the parameters, nor the message (R14).
A streaming operation is therefore a coroutine. It checks the request, stores or reads the task, and
returns the stream, which holds only a position in the task's log.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from a2a_app import conf, database
from a2a_app.concurrency.budget import reserve
from a2a_app.feed import Follower, Until
from a2a_app.files.links import REFERENCE, Links
from a2a_app.models.owners import Scope
from a2a_app.protocol import Message, StreamResponse
from a2a_app.store.events import LargeReadError, Position
from a2a_app.store.reads.tasks import Snapshot, newest_position, read_snapshot


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One StreamResponse as JSON text, and its number in the task's log."""

    seq: int | None
    """The number of the event, or that of the newest event in the task; None without a task."""
    body: str


Stream: TypeAlias = AsyncGenerator[list[StreamItem], None]
"""Items in the batches in which they come; an empty list means that there is nothing new."""


@dataclass(slots=True)
class StreamStart:
    """The first items of a task's stream, and the position after which it goes on."""

    first: list[StreamItem]
    position: Position
    until: Until | None
    """Where the stream ends; None if nothing follows the first items."""
    large: "LargeItem | None" = None
    """The first item, where it is too large to be read before there is room for it."""

    def take_first(self) -> list[StreamItem]:
        """Return the first items, and let go of them: a task may be large."""
        first, self.first = self.first, []
        return first


@dataclass(frozen=True, slots=True)
class LargeItem:
    """A task that is the first item of its stream, and is not read yet."""

    owner: str
    size: int
    """How many bytes it has at most."""
    read: Callable[[], Snapshot]


async def read_start(
    scope: Scope,
    task_id: str,
    until: Callable[[Position], Until | None],
    *,
    history_length: int | None = None,
) -> StreamStart:
    """Return the start of a stream whose first item is a task as it is now.

    Args:
        scope: The caller's.
        task_id: The task.
        until: Says where the stream ends, by the position at which it begins.
        history_length: How many of the newest messages the task has; None: all.

    Raises:
        TaskNotFoundError: The caller has no such task.
    """
    most = conf.current().stream_bytes
    try:
        snapshot = await database.read(
            read_snapshot, scope, task_id, history_length=history_length, most=most
        )
    except LargeReadError as large:
        position, size = await database.read(newest_position, scope, task_id), large.size
    else:
        return start_with_task(snapshot, until(snapshot.position))
    return start_large(scope, position, until(position), size, history_length=history_length)


def start_large(
    scope: Scope,
    position: Position,
    until: Until | None,
    size: int,
    *,
    history_length: int | None,
) -> StreamStart:
    """Return the start of a stream whose first item is a large task as it was at a position.

    It is read once its client reads the stream, and there is room for it. What waits for that holds
    nothing of it.
    """
    read = partial(
        read_snapshot, scope, str(position.task_id), history_length=history_length, at=position.seq
    )
    return StreamStart([], position, until, LargeItem(scope.owner, size, read))


def start_with_task(snapshot: Snapshot, until: Until | None) -> StreamStart:
    """Return the start of a stream whose first item is the task as it is now."""
    return StreamStart([_item(snapshot, snapshot.position)], snapshot.position, until)


def _item(snapshot: Snapshot, position: Position) -> StreamItem:
    return StreamItem(position.seq, StreamResponse.of(task=snapshot.task).to_json())


async def open_stream(follower: Follower, read_start: Coroutine[Any, Any, StreamStart]) -> Stream:
    """Open the stream of a task, and return it once its first items are there.

    Args:
        follower: A follower of the task.
        read_start: Stores or reads the task. It is awaited when the follower listens, so that no
            event is lost in between. It is a coroutine because that forgets its arguments when it
            returns.

    Raises:
        Exception: Whatever `read_start` raises; no stream is open then.
    """
    stream = _stream(follower, read_start)
    # Without `closing`, Python would warn of a coroutine that was never awaited where the follower
    # is cancelled before it listens.
    with closing(read_start):
        await anext(stream)
    return stream


async def _stream(follower: Follower, read_start: Coroutine[Any, Any, StreamStart]) -> Stream:
    """Yield once when the stream is open, and then its items.

    A generator that has begun is closed by Python if nobody reads it. One that has not begun would
    leave its follower behind.
    """
    async with follower:
        start = await read_start
        yield []
        if start.large is None:
            yield start.take_first()
        else:
            with reserve(start.large.owner, start.large.size) as room:
                while not await room.wait(conf.current().keepalive_seconds):
                    yield []
                yield [_item(await database.read(start.large.read), start.position)]
        if start.until is None:
            return
        async for events in follower.follow(start.position, start.until):
            yield [StreamItem(event.seq, event.body) for event in events]
            del events


async def message_stream(message: Message) -> Stream:
    """Stream an agent's message, which has no task, and nothing after it."""
    yield [StreamItem(None, StreamResponse(message=message).to_json())]


async def with_file_links(stream: Stream, links: Links) -> Stream:
    """Replace the references to files in a stream by links to them."""
    async with aclosing(stream):
        async for items in stream:
            # Few items have references, and the others are passed on as they are.
            if any(REFERENCE in item.body for item in items):
                items = [StreamItem(item.seq, links.replace_in_json(item.body)) for item in items]
            yield items
            del items
