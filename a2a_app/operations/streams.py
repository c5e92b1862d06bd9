"""The streams that the streaming operations return.

A stream lives for hours, and a generator keeps its arguments for as long as it lives. So nothing of
the request may be an argument of one: neither the call, nor the parameters, nor the message (R14).
A streaming operation is therefore a coroutine. It checks the request, stores or reads the task, and
returns the stream, which holds only a position in the task's log.
"""

from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, TypeAlias

from a2a_app.feed import Follower, Until
from a2a_app.files.links import Links
from a2a_app.protocol import Message, StreamResponse
from a2a_app.store.events import Position
from a2a_app.store.reads.tasks import Snapshot


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

    def take_first(self) -> list[StreamItem]:
        """Return the first items, and let go of them: a task may be large."""
        first, self.first = self.first, []
        return first


def start_with_task(snapshot: Snapshot, until: Until | None) -> StreamStart:
    """Return the start of a stream whose first item is the task as it is now."""
    item = StreamItem(snapshot.position.seq, StreamResponse.of(task=snapshot.task).to_json())
    return StreamStart([item], snapshot.position, until)


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
        yield start.take_first()
        if start.until is None:
            return
        async for events in follower.follow(start.position, start.until):
            yield [StreamItem(event.seq, event.body) for event in events]


async def message_stream(message: Message) -> Stream:
    """Stream an agent's message, which has no task, and nothing after it."""
    yield [StreamItem(None, StreamResponse(message=message).to_json())]


async def with_file_links(stream: Stream, links: Links) -> Stream:
    """Replace the references to files in a stream by links to them."""
    async with aclosing(stream):
        async for items in stream:
            # Few items have references, and the others are passed on as they are.
            if any(links.has_references(item.body) for item in items):
                items = [StreamItem(item.seq, links.replace_in_json(item.body)) for item in items]
            yield items
