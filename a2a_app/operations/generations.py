"""Generations: the numbers of tasks and of their events, for clients that know them.

Version 1.1 has them as fields. Before that, clients activate an extension, whose data is in the
metadata of tasks and events: see docs/extensions/task-generations.md. Here is the extension only.
"""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic_core import from_json, to_json

from a2a_app.agents.extensions import TASK_GENERATIONS
from a2a_app.operations.streams import Stream, StreamItem
from a2a_app.protocol import ListTasksResponse, Model, SendMessageResponse, Task

URI = TASK_GENERATIONS.uri
T = TypeVar("T", bound=Model)


@dataclass(frozen=True, slots=True)
class Generations:
    """What a client has said that knows generations."""

    current: int | None = None
    """The newest that it has seen. GetTask waits for a newer one, and a subscription goes on after
    it."""
    required: int | None = None
    """The one that the task must have, or what is asked is refused."""


def with_generation(result: T) -> T:
    """Return a result whose tasks say their generations; one without tasks as it is."""
    return result.model_copy(update=_marked(result))


def _marked(result: Model) -> dict[str, Any]:
    match result:
        case Task(metadata=metadata, generation=generation):
            return {"metadata": {**metadata, URI: {"generation": generation}}}
        case SendMessageResponse(task=Task() as task):
            return {"task": with_generation(task)}
        case ListTasksResponse(tasks=tasks):
            return {"tasks": [with_generation(task) for task in tasks]}
        case _:
            return {}


async def with_generations(stream: Stream) -> Stream:
    """Yield the items of a stream, each with its generation."""
    async with aclosing(stream):
        async for items in stream:
            yield [_marked_item(item) for item in items]
            del items  # An idle stream holds nothing of what it has sent.


def _marked_item(item: StreamItem) -> StreamItem:
    if item.seq is None:
        return item
    response = from_json(item.body)
    [content] = response.values()
    content.setdefault("metadata", {})[URI] = {"generation": item.seq}
    return StreamItem(item.seq, to_json(response).decode())
