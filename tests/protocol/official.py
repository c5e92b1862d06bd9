"""The protobuf types of the official SDK, and ProtoJSON by Google's own code.

The one place that imports the libraries of protobuf, which come without type stubs.
"""

from collections.abc import Iterator
from typing import Any

from a2a.compat.v0_3 import a2a_v0_3_pb2
from a2a.types import a2a_pb2
from google.api import field_behavior_pb2
from google.protobuf import (
    any_pb2,
    json_format,
    struct_pb2,
    timestamp_pb2,
)
from google.rpc import error_details_pb2

MESSAGES: dict[str, Any] = dict(a2a_pb2.DESCRIPTOR.message_types_by_name)
"""The descriptor of each message of the protocol, by its name."""

ENUMS: dict[str, Any] = dict(a2a_pb2.DESCRIPTOR.enum_types_by_name)
"""The descriptor of each enum of the protocol, by its name."""

DETAILS = error_details_pb2
Struct = struct_pb2.Struct
Value = struct_pb2.Value
Timestamp = timestamp_pb2.Timestamp
NULL = struct_pb2.NULL_VALUE


def blank(name: str) -> Any:
    """Make an empty message of the type with this name."""
    return getattr(a2a_pb2, name)()


def parse(name: str, text: str) -> Any:
    """Read JSON as a message; an unknown field is an error."""
    return json_format.Parse(text, blank(name))


def parse_03(name: str, value: Any) -> Any:
    """Read JSON values as a message of 0.3; an unknown field is an error."""
    return json_format.ParseDict(value, getattr(a2a_v0_3_pb2, name)())


def values(message: Any, **options: bool) -> Any:
    """Return a message as JSON values."""
    return json_format.MessageToDict(message, **options)


def parse_detail(detail: dict[str, Any]) -> Any:
    """Read an object with an `@type` as the message that it says it is."""
    packed = json_format.ParseDict(detail, any_pb2.Any())
    message = getattr(DETAILS, packed.TypeName().rpartition(".")[2])()
    assert packed.Unpack(message)
    return message


def is_required(field: Any) -> bool:
    """Tell whether the proto marks the field as REQUIRED."""
    marks = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.REQUIRED in marks


def is_map(field: Any) -> bool:
    """Tell whether the field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def without_empty_metadata(message: Any) -> Any:
    """Unset each `metadata` that is an empty object: for us that is no metadata at all."""
    for each in _walk(message):
        if "metadata" in each.DESCRIPTOR.fields_by_name and not each.metadata.fields:
            each.ClearField("metadata")
    return message


def _walk(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.file.package == "google.protobuf":
            continue
        if is_map(field):
            inner = field.message_type.fields_by_name["value"].message_type
            below = value.values() if inner is not None else ()
        else:
            below = value if field.is_repeated else (value,)
        for each in below:
            yield from _walk(each)
