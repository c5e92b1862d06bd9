"""Generations: the numbers of tasks and of their events, for clients that know them.

Version 1.1 has them as fields. Before that, clients activate an extension, whose data is in the
metadata of tasks and events: see docs/extensions/task-generations.md. Here is the extension only.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from pydantic_core import from_json, to_json

from a2a_app import database
from a2a_app.agents.extensions import TASK_GENERATIONS
from a2a_app.operations.streams import Stream, StreamItem
from a2a_app.protocol import (
    ListTasksResponse,
    Message,
    Model,
    SendMessageResponse,
    TaskState,
)
from a2a_app.protocol.tasks import StoredTask
from a2a_app.push.payloads import PAYLOADS, Notification, rewritten
from a2a_app.store.reads.order import Entry, read_order
from a2a_app.store.reads.tasks import client_messages

URI = TASK_GENERATIONS.uri
NUMBERED = "generations"
"""The name in `push.payloads` of the format for webhooks whose clients know generations."""
T = TypeVar("T", bound=Model)
Json: TypeAlias = dict[str, Any]


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
        case StoredTask(metadata=metadata, generation=generation):
            return {"metadata": {**metadata, URI: {"generation": generation}}}
        case SendMessageResponse(task=StoredTask() as task):
            return {"task": with_generation(task)}
        case ListTasksResponse(tasks=tasks):
            return {"tasks": [with_generation(task) for task in tasks]}
        case _:
            return {}


async def with_order(task: StoredTask) -> StoredTask:
    """Return a task that says in which order its history and its artifacts came, and when."""
    artifacts = [each.artifact_id for each in task.artifacts]
    entries = await database.read(read_order, UUID(task.id), task.generation, artifacts)
    wanted = {each.message_id for each in task.history}
    if task.status.message is not None:
        wanted.add(task.status.message.message_id)
    order = [_in_json(each) for each in entries if each.artifact_id or each.message_id in wanted]
    marks = {**task.metadata[URI], "order": order}
    return task.model_copy(update={"metadata": {**task.metadata, URI: marks}})


def _in_json(entry: Entry) -> Json:
    said: Json = {"generation": entry.seq}
    if entry.at is not None:
        at = entry.at.astimezone(UTC).isoformat(timespec="milliseconds")
        said["timestamp"] = at.replace("+00:00", "Z")
    if entry.message_id:
        said["messageId"] = entry.message_id
    else:
        said["artifactId"] = entry.artifact_id
    if entry.last_seq is not None:
        said["endGeneration"] = entry.last_seq
    return said


async def with_generations(stream: Stream) -> Stream:
    """Yield the items of a stream, each with its generation, and with the client's new message."""
    async with aclosing(stream):
        async for items in stream:
            yield await _marked_items(items)
            del items  # An idle stream holds nothing of what it has sent.


async def _marked_items(items: list[StreamItem]) -> list[StreamItem]:
    responses = {item.seq: from_json(item.body) for item in items if item.seq is not None}
    said = await _messages_with(responses)
    for seq, response in responses.items():
        [content] = response.values()
        marks: dict[str, Any] = {"generation": seq}
        if seq in said:
            marks["message"] = said[seq].to_dict()
        content.setdefault("metadata", {})[URI] = marks
    return [
        item if item.seq is None else StreamItem(item.seq, to_json(responses[item.seq]).decode())
        for item in items
    ]


async def _messages_with(responses: Mapping[int, Json]) -> dict[int, Message]:
    """Return the messages of clients that came with some events, by their generations.

    The log says that a message came, and not what is in it.
    """
    numbers = [seq for seq, response in responses.items() if _may_have_message(response)]
    if not numbers:
        return {}
    update = responses[numbers[0]]["statusUpdate"]
    task_id, context_id = UUID(update["taskId"]), update["contextId"]
    return await database.read(client_messages, task_id, context_id, numbers)


def _may_have_message(response: Json) -> bool:
    """Tell whether a client's message may have come with an event, as with none of an agent's."""
    status = response.get("statusUpdate", {}).get("status")
    return bool(status) and "message" not in status and not TaskState(status["state"]).is_terminal


async def _numbered(notifications: Sequence[Notification]) -> list[str]:
    items = [StreamItem(each.seq, each.body) for each in notifications]
    return [item.body for item in await _marked_items(items)]


PAYLOADS[NUMBERED] = rewritten(PAYLOADS[""], _numbered)
