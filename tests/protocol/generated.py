"""Hypothesis strategies: our models from their fields, protobuf's messages from the proto."""

import types
import typing
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from annotated_types import Ge, Le, MinLen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic.fields import FieldInfo

from a2a_app import protocol
from a2a_app.protocol.base import OneOf
from a2a_app.protocol.scalars import MAX_INT32
from tests.protocol import official

CONTENTS = ("text", "raw", "url", "data")

TEXT = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=8)
NAMES = TEXT.filter(bool)
# A double holds each of these exactly. ProtoJSON may round larger ones.
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
STRUCTS = st.dictionaries(TEXT, JSON, max_size=3)
MILLISECONDS = st.integers(0, (datetime.max - datetime.min) // timedelta(milliseconds=1))
MOMENTS = MILLISECONDS.map(
    lambda after: datetime.min.replace(tzinfo=UTC) + timedelta(milliseconds=after)
)

SCALARS: dict[Any, SearchStrategy[Any]] = {
    bool: st.booleans(),
    bytes: st.binary(max_size=8),
    datetime: MOMENTS,
    Any: JSON,
}


@cache
def models(cls: type[protocol.Model]) -> SearchStrategy[protocol.Model]:
    """Return a strategy for instances of a class of ours, from the types of its fields."""
    fields = {name: _of_field(field) for name, field in cls.model_fields.items()}
    if issubclass(cls, OneOf):
        return st.one_of([st.builds(cls, **{name: fields[name]}) for name in fields])
    required = {name for name, field in cls.model_fields.items() if field.is_required()}
    if cls is protocol.Part:
        contents = {name: fields.pop(name) for name in CONTENTS}
        return st.one_of(
            [_built(cls, {**fields, name: contents[name]}, {name}) for name in CONTENTS]
        )
    return _built(cls, fields, required)


def _built(
    cls: type[protocol.Model], fields: dict[str, SearchStrategy[Any]], required: Iterable[str]
) -> SearchStrategy[protocol.Model]:
    always = {name: fields[name] for name in required}
    optional = {name: fields[name] for name in fields if name not in always}
    given = st.fixed_dictionaries(always, optional=optional)
    return given.map(lambda values: cls(**values))


def _of_field(field: FieldInfo) -> SearchStrategy[Any]:
    return _of_type(field.annotation, field.metadata)


def _of_type(kind: Any, marks: Iterable[Any]) -> SearchStrategy[Any]:
    if typing.get_origin(kind) is typing.Annotated:
        kind, *more = typing.get_args(kind)
        return _of_type(kind, [*marks, *more])
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        # None is the default: it comes where a field is left out.
        return _of_type(next(k for k in typing.get_args(kind) if k is not type(None)), marks)
    marks = list(_flat(marks))
    least = max((mark.min_length for mark in marks if isinstance(mark, MinLen)), default=0)
    match typing.get_origin(kind) or kind:
        case builtin if builtin is list:
            (inner,) = typing.get_args(kind)
            return st.lists(_of_type(inner, ()), min_size=least, max_size=2)
        case builtin if builtin is dict:
            inner = typing.get_args(kind)[1]
            values = JSON if inner is Any else _of_type(inner, ())
            return st.dictionaries(TEXT, values, max_size=2)
        case scalar:
            return _of_scalar(scalar, marks, least)


def _of_scalar(kind: Any, marks: list[Any], least: int) -> SearchStrategy[Any]:
    if kind is str:
        return NAMES if least else TEXT
    if kind is int:
        bounds: dict[type, Any] = {type(mark): mark for mark in marks}
        low = bounds[Ge].ge if Ge in bounds else -MAX_INT32 - 1
        return st.integers(low, bounds[Le].le if Le in bounds else MAX_INT32)
    if kind in SCALARS:
        return SCALARS[kind]
    if issubclass(kind, StrEnum):
        # A status and a role must say something; ListTasks may ask for any state by leaving it out.
        return st.sampled_from(list(kind)[1:])
    assert issubclass(kind, protocol.Model), kind
    return st.deferred(lambda: models(kind))


def _flat(marks: Iterable[Any]) -> Iterable[Any]:
    for mark in marks:
        yield from _flat(mark.metadata) if isinstance(mark, FieldInfo) else (mark,)


def _value(value: Any) -> Any:
    message = official.Value()
    match value:
        case None:
            message.null_value = official.NULL
        case bool():
            message.bool_value = value
        case int() | float():
            message.number_value = value
        case str():
            message.string_value = value
        case list():
            message.list_value.SetInParent()
            for each in value:
                message.list_value.values.add().CopyFrom(_value(each))
        case dict():
            message.struct_value.CopyFrom(_struct(value))
    return message


def _struct(value: dict[str, Any]) -> Any:
    message = official.Struct()
    for key, each in value.items():
        message.fields[key].CopyFrom(_value(each))
    return message


def _timestamp(moment: datetime) -> Any:
    message = official.Timestamp()
    message.FromDatetime(moment)
    return message


WELL_KNOWN: dict[str, SearchStrategy[Any]] = {
    "google.protobuf.Struct": STRUCTS.map(_struct),
    "google.protobuf.Value": JSON.map(_value),
    "google.protobuf.Timestamp": MOMENTS.map(_timestamp),
}

# What we ask of numbers beyond the proto (sections 3.1.4 and 3.2.4).
RANGES = {
    "history_length": st.integers(0, MAX_INT32),
    "ListTasksRequest.page_size": st.integers(1, 100),
    "ListTaskPushNotificationConfigsRequest.page_size": st.integers(0, MAX_INT32),
}


@cache
def messages(name: str) -> SearchStrategy[Any]:
    """Return a strategy for protobuf messages of a type: required fields set, one of each oneof."""
    return _message(name)


@st.composite
def _message(draw: DrawFn, name: str) -> Any:
    descriptor = official.MESSAGES[name]
    chosen = {
        draw(st.sampled_from(list(oneof.fields))).name
        for oneof in descriptor.oneofs
        if len(oneof.fields) > 1
    }
    message = official.blank(name)
    for field in descriptor.fields:
        must = official.is_required(field) or field.name in chosen
        if field.containing_oneof is not None and len(field.containing_oneof.fields) > 1:
            wanted = must
        else:
            wanted = must or draw(st.booleans())
        if wanted:
            _fill(draw, message, field, least=int(official.is_required(field)))
    return message


def _fill(draw: DrawFn, message: Any, field: Any, *, least: int) -> None:
    if official.is_map(field):
        _fill_map(draw, getattr(message, field.name), field, least)
    elif field.is_repeated:
        inner = _of_descriptor(field, least=0)
        getattr(message, field.name).extend(draw(st.lists(inner, min_size=least, max_size=2)))
    elif field.message_type is not None:
        target = getattr(message, field.name)
        target.SetInParent()
        target.CopyFrom(draw(_of_descriptor(field, least)))
    else:
        setattr(message, field.name, draw(_of_descriptor(field, least)))


def _fill_map(draw: DrawFn, target: Any, field: Any, least: int) -> None:
    inner = field.message_type.fields_by_name["value"]
    pairs = st.dictionaries(TEXT, _of_descriptor(inner, least=0), min_size=least, max_size=2)
    for key, value in draw(pairs).items():
        if inner.message_type is not None:
            target[key].CopyFrom(value)
        else:
            target[key] = value


def _of_descriptor(field: Any, least: int) -> SearchStrategy[Any]:
    if field.message_type is not None:
        known = WELL_KNOWN.get(field.message_type.full_name)
        return known if known is not None else messages(field.message_type.name)
    if field.enum_type is not None:
        return st.sampled_from([v.number for v in field.enum_type.values if v.number])
    kinds: dict[int, Callable[[], SearchStrategy[Any]]] = {
        field.TYPE_STRING: lambda: NAMES if least else TEXT,
        field.TYPE_BYTES: lambda: SCALARS[bytes],
        field.TYPE_BOOL: lambda: SCALARS[bool],
        field.TYPE_INT32: lambda: _range(field, least),
    }
    return kinds[field.type]()


def _range(field: Any, least: int) -> SearchStrategy[int]:
    for name in (field.name, f"{field.containing_type.name}.{field.name}"):
        if name in RANGES:
            return RANGES[name]
    whole = st.integers(-MAX_INT32 - 1, MAX_INT32)
    return whole.filter(bool) if least else whole
