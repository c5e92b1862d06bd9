"""Streams: what the streaming operations give."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from a2a_app.files.links import Links
from a2a_app.protocol import StreamResponse
from a2a_app.store.reads.tasks import Snapshot


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One StreamResponse, as JSON text, with the number it brings its reader to."""

    seq: int | None
    """None where there is no task."""
    body: str


Stream: TypeAlias = AsyncGenerator[list[StreamItem], None]
"""Items as they come, some at a time; an empty list says that all is well and nothing is new."""


def task_item(found: Snapshot) -> StreamItem:
    """Make the first item of a stream: the task, at its number."""
    return StreamItem(found.position.seq, StreamResponse.of(task=found.task).to_json())


async def linked(stream: Stream, links: Links) -> Stream:
    """Give a stream with links to files where the log has references."""
    async with aclosing(stream):
        async for items in stream:
            # Few have any: those that have none are passed on as they are.
            if any(links.are_in(item.body) for item in items):
                items = [StreamItem(item.seq, links.in_json(item.body)) for item in items]
            yield items
