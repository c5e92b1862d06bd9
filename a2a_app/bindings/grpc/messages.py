"""The messages of gRPC, from and to the JSON in which operations and dialects take and return them.

Both directions are those of ProtoJSON, so that a call means the same as its twin in HTTP+JSON. What
is large is converted in a thread, or it would keep all other calls waiting.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseError, SerializeToJsonError
from google.protobuf.message import DecodeError, Message
from pydantic_core import from_json

from a2a_app import conf, protocol
from a2a_app.bindings.grpc.fields import message_of

LARGE_BYTES = 64 * 1024
"""What is larger is converted in a thread. So much takes a few milliseconds at most."""

MOST_LEVELS = 33
"""How deep JSON may always be: protobuf takes 100 messages in each other, an object is three."""

T = TypeVar("T")
_SCALARS = (str, bytes, int, float)  # a bool is an int


async def read_message(kind: type[Message], body: bytes) -> dict[str, Any]:
    """Return the JSON of a message that a client has sent.

    Raises:
        InvalidRequestError: It is no such message, or it has more than `MAX_JSON_VALUES` values.
        InvalidParamsError: It has a value that JSON cannot have.
    """
    return await _convert(len(body), lambda: _read(kind, body))


async def make_message(kind: type[Message], body: str) -> Message:
    """Return the message with a result in JSON. Members that it has no field for are left out.

    Raises:
        UnsupportedOperationError: It is nested more deeply than a message may be.
    """
    return await _convert(len(body), lambda: _made(kind, body))


async def _convert(size: int, convert: Callable[[], T]) -> T:
    return convert() if size <= LARGE_BYTES else await asyncio.to_thread(convert)


def _made(kind: type[Message], body: str) -> Message:
    given = from_json(body)
    try:
        return message_of(kind, given)
    except (DecodeError, ParseError):
        if _depth(given) <= MOST_LEVELS:
            raise
        raise protocol.UnsupportedOperationError(
            "The answer is nested more deeply than messages of protobuf may be."
            " Get it over JSON-RPC or HTTP+JSON."
        ) from None


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _read(kind: type[Message], body: bytes) -> dict[str, Any]:
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError:
        name = message.DESCRIPTOR.full_name
        raise protocol.InvalidRequestError(f"The message is no {name}.") from None
    limit = conf.current().max_json_values
    # Each value has a byte at least.
    if len(body) > limit:
        _check_values(message, limit)
    try:
        given: dict[str, Any] = MessageToDict(message)
    except (SerializeToJsonError, ParseError, ValueError, OverflowError) as error:
        raise protocol.InvalidParamsError(f"Invalid parameters: {error}") from None
    return given


def _check_values(message: Message, left: int) -> None:
    """Check that a message has at most so many values; raise InvalidRequestError."""
    limit, waiting = left, [message]
    while waiting:
        fields = waiting.pop().ListFields()
        left -= not fields
        for _, value in fields:
            left -= _count(value, waiting, left)
            if left < 0:
                raise protocol.InvalidRequestError(
                    f"The message has more than {limit} values.",
                )


def _count(value: Any, waiting: list[Message], left: int) -> int:
    """Return how many values the value of a field is, and add the messages in it to `waiting`."""
    if isinstance(value, Message):
        waiting.append(value)
        return 0
    if isinstance(value, _SCALARS):
        return 1
    if len(value) > left:
        return len(value)
    values = list(value.values() if isinstance(value, Mapping) else value)
    messages = [each for each in values if isinstance(each, Message)]
    waiting += messages
    return len(values) - len(messages)
