"""Messages of protobuf from JSON, by the fields that they have.

`ParseDict` does the same for all of ProtoJSON, and looks at each field anew. What the constructor
of a message takes is found out once for each type here, so an event costs a tenth.
"""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NoReturn, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

Convert: TypeAlias = Callable[[Any], Any]
"""Makes of a value in JSON what the constructor takes. It raises one of `_UNFIT`."""

_UNFIT = (AttributeError, TypeError, ValueError, ParseError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MOST_DIGITS = len("2026-11-29T12:00:00.123456Z")
_INTEGERS = (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64)
# The constructor takes the names of enums as they are.
_AS_THEY_ARE = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_ENUM)


def message_of(kind: type[Message], given: Mapping[str, Any]) -> Message:
    """Return the message with what there is in JSON. Members that it has no field for are left out.

    Raises:
        ParseError: A member is of another type than its field.
    """
    try:
        return kind(**_arguments(kind.DESCRIPTOR, given))
    except _UNFIT:  # what only ParseDict knows, such as the enums of the future
        return ParseDict(given, kind(), ignore_unknown_fields=True)


def _arguments(described: Descriptor, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = _fields_of(described)
    known = ((fields.get(name), value) for name, value in given.items())
    return {field[0]: field[1](value) for field, value in known if field is not None}


@cache
def _fields_of(described: Descriptor) -> dict[str, tuple[str, Convert]]:
    """Return the fields of a type by their names in JSON: the names here, and their converters."""
    return {
        name: (each.name, _converter_of(each))
        for each in described.fields
        for name in (each.json_name, each.name)
    }


def _converter_of(field: FieldDescriptor) -> Convert:
    convert = _converter_of_one(field)
    if convert is None or not field.is_repeated:
        return convert or _refuse
    if field.message_type and field.message_type.GetOptions().map_entry:
        return _refuse
    return lambda values: [convert(each) for each in values]


def _converter_of_one(field: FieldDescriptor) -> Convert | None:
    if field.type in _AS_THEY_ARE:
        return lambda value: value
    if field.type in _INTEGERS:
        return int
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: urlsafe_b64decode(value.encode() + b"==")
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        return None
    described = field.message_type
    if described.full_name == "google.protobuf.Timestamp":
        return _timestamp
    if described.file.package == "google.protobuf":  # any JSON
        kind, may_be_null = GetMessageClass(described), described.name == "Value"
        return lambda value: ParseDict(value, kind()) if may_be_null or value is not None else None
    return lambda value: _arguments(described, value)


def _timestamp(text: str) -> dict[str, int]:
    if len(text) > _MOST_DIGITS:
        raise ValueError(text)
    since = datetime.fromisoformat(text) - _EPOCH
    return {"seconds": since // _SECOND, "nanos": since.microseconds * 1000}


def _refuse(value: object) -> NoReturn:
    raise ValueError(value)
