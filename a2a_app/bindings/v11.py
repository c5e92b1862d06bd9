"""The draft of version 1.1, converted from JSON to JSON; only the bindings know of it.

It has as fields what the extension for generations has in metadata and in headers. What is here is
in the branch dev-1.1 of the specification (section 3.2.7): it goes by that text, and is not final.
"""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, TypeAlias

from pydantic import Field
from pydantic_core import from_json, to_json

from a2a_app import protocol
from a2a_app.bindings.dialects import Dialect, Method
from a2a_app.operations import OPERATIONS
from a2a_app.operations.generations import NUMBERED, URI, Generations
from a2a_app.operations.streams import Stream, StreamItem
from a2a_app.protocol.scalars import Int64
from a2a_app.push.payloads import PAYLOADS, Notification, rewritten

Json: TypeAlias = dict[str, Any]
_Given: TypeAlias = Annotated[Int64, Field(ge=0)]


class _Configuration(protocol.Model):
    """What a message's configuration has more than in 1.0."""

    if_generation_match: _Given | None = None


class _Fields(protocol.Model):
    """What parameters have more than in 1.0."""

    current_generation: _Given | None = None
    configuration: _Configuration | None = None


class Dialect11(Dialect):
    """The way in which the draft of 1.1 writes parameters and results."""

    version = protocol.VERSION_11
    push_payload = numbered_push_payload = protocol.VERSION_11
    query_fields = ("currentGeneration", "current_generation")

    def generations(self, given: Json) -> Generations:
        """Return what parameters say of generations; raise InvalidParamsError."""
        fields = _Fields.from_dict(given)
        configuration = fields.configuration or _Configuration()
        return Generations(fields.current_generation, configuration.if_generation_match)

    def result(self, body: str) -> str:
        """Return a result with the generations of its tasks as fields."""
        return _lifted(body)

    async def stream(self, stream: Stream) -> Stream:
        """Return a stream whose items have their generations as fields."""
        async with aclosing(stream):
            async for items in stream:
                yield [StreamItem(item.seq, _lifted(item.body)) for item in items]
                del items  # An idle stream holds nothing of what it has sent.


def _lifted(body: str) -> str:
    if URI not in body:
        return body
    value = from_json(body)
    for content in _contents(value):
        _lift(content)
    return to_json(value).decode()


def _contents(value: Json) -> Iterator[Json]:
    """Yield the tasks and events in a result or an item of a stream."""
    yield value
    yield from (value[name] for name in ("task", "statusUpdate", "artifactUpdate") if name in value)
    yield from value.get("tasks", ())


def _lift(content: Json) -> None:
    """Make fields of what the extension says. What 1.1 has no field for stays where it is."""
    said = content.get("metadata", {}).get(URI)
    if said is None:
        return
    # ProtoJSON writes integers of 64 bits as strings.
    content["generation"] = str(said.pop("generation"))
    if not said:
        del content["metadata"][URI]
    if not content["metadata"]:
        del content["metadata"]


async def _with_fields(notifications: Sequence[Notification]) -> list[str]:
    return [_lifted(each.body) for each in notifications]


PAYLOADS[protocol.VERSION_11] = rewritten(PAYLOADS[NUMBERED], _with_fields)
DIALECT_11 = Dialect11()
METHODS_11 = {name: Method(name, operation, DIALECT_11) for name, operation in OPERATIONS.items()}
