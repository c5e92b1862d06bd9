"""The kinds of values for which ProtoJSON has rules, as types for pydantic (section 5.5)."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    ValidationInfo,
)

E = TypeVar("E", bound=StrEnum)

MAX_DEPTH = 100
MAX_INT32 = 2**31 - 1
MAX_ITEMS = 10_000
MAX_TEXTS = 100
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _refuse_unstorable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("must not contain half of a surrogate pair") from None
    return text


Text: TypeAlias = Annotated[str, Strict(), AfterValidator(_refuse_unstorable)]
"""A string that every database can store and every client can read."""

Name: TypeAlias = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_refuse_unstorable)]
"""A string that must not be empty."""


def at_most(most: int, setting: str = "") -> BeforeValidator:
    """Return a validator that refuses an array which is too long, before its elements are checked.

    Each bad element makes an error, and millions of errors would take minutes and gigabytes.

    Args:
        most: How many elements there may be.
        setting: The name in the context of the validation of another number, if there is one.
    """

    def refuse_long_array(value: Any, info: ValidationInfo) -> Any:
        limit = info.context.get(setting, most) if info.context else most
        if isinstance(value, list) and len(value) > limit:
            raise ValueError(f"must not have more than {limit} elements")
        return value

    return BeforeValidator(refuse_long_array)


Texts: TypeAlias = Annotated[list[Text], at_most(MAX_TEXTS)]
"""An array of at most MAX_TEXTS strings, such as media types."""

Flag: TypeAlias = Annotated[bool, Strict()]
"""True or false. A number or a word that stands for one of them is refused."""


def _read_integer(value: Any, bits: int) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be an integer")
    if isinstance(value, float):
        if not math.isfinite(value) or not value.is_integer():
            raise ValueError("must be an integer")
        value = int(value)
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"must fit into {bits} bits")
    return value


Int32: TypeAlias = Annotated[int, BeforeValidator(partial(_read_integer, bits=32))]
"""A 32-bit integer; a client may write it as a string or with a fraction of zero."""

Int64: TypeAlias = Annotated[int, BeforeValidator(partial(_read_integer, bits=64))]
"""A 64-bit integer, in the same ways."""


Count: TypeAlias = Annotated[Int32, Field(ge=0)]
"""An integer that is not negative."""


def require_json(value: Any) -> Any:
    """Return JSON values that every database can store; raise ValueError for all else."""
    _check_json(value, 0)
    return value


def _check_json(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"must not be nested more than {MAX_DEPTH} deep")
    match value:
        case None | bool():
            pass
        case str():
            _refuse_unstorable(value)
        case int() | float():
            _check_number(value)
        case dict():
            for key in value:
                _check_key(key)
            _check_all(value.values(), depth + 1)
        case list():
            _check_all(value, depth + 1)
        case _:
            raise ValueError(f"must be JSON, not {type(value).__name__}")


def _check_all(values: Iterable[Any], depth: int) -> None:
    for value in values:
        _check_json(value, depth)


def _check_key(key: Any) -> None:
    if not isinstance(key, str):
        raise ValueError("must have strings for keys")
    _refuse_unstorable(key)


def _check_number(value: int | float) -> None:
    if not _is_finite(value):
        raise ValueError("must not hold a number that a double cannot")


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def make_storable(value: Any) -> Any:
    """Return JSON values in which what no database stores, or no client reads, is replaced.

    NUL and halves of surrogate pairs become U+FFFD, and numbers that no double can hold become
    null. Anything else is left as it is, for the check to refuse.

    Returns:
        The value itself where there is nothing to replace.
    """
    match value:
        case str():
            return _make_text_storable(value)
        case float() | int():
            return value if isinstance(value, bool) or _is_finite(value) else None
        case dict():
            pairs = {make_storable(key): make_storable(each) for key, each in value.items()}
            return value if pairs == value else pairs
        case list():
            items = [make_storable(each) for each in value]
            return value if items == value else items
        case _:
            return value


def _make_text_storable(text: str) -> str:
    try:
        return _refuse_unstorable(text)
    except ValueError:
        decoded = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return decoded.replace("\x00", REPLACEMENT)


Value: TypeAlias = Annotated[Any, AfterValidator(require_json)]
"""Any JSON value (google.protobuf.Value)."""

Struct: TypeAlias = Annotated[dict[str, Any], AfterValidator(require_json)]
"""Any JSON object (google.protobuf.Struct)."""


def _read_timestamp(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        moment = _parse_timestamp(value)
    else:
        raise ValueError("must be a string like 2026-01-31T12:00:00.000Z")
    if moment.tzinfo is None:
        raise ValueError("must have a timezone, best Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999") from None


_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?"
    r"([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


def _parse_timestamp(text: str) -> datetime:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("must be a time like 2026-01-31T12:00:00.000Z")
    day, clock, fraction, zone = match.groups()
    microseconds = ((fraction or "") + "000000")[:6]
    zone = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{microseconds}{zone}")
    except ValueError as error:
        raise ValueError(f"is not a time: {error}") from None


def _write_timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_read_timestamp),
    PlainSerializer(_write_timestamp, return_type=str),
]
"""A moment in UTC, written with milliseconds (section 5.6.1)."""


def _read_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a string in base64")
    text = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be a string in base64") from None


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


Bytes: TypeAlias = Annotated[
    bytes, BeforeValidator(_read_bytes), PlainSerializer(_write_bytes, return_type=str)
]
"""Bytes, in base64 on the wire."""


def enum_reader(kind: type[E]) -> Callable[[Any], Any]:
    """Return a validator that reads a member of an enum by its name or its number in the proto."""
    members = list(kind)
    by_name = {member.value: member for member in members}

    def read(value: Any) -> Any:
        if isinstance(value, str) and value in by_name:
            return by_name[value]
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(members):
            return members[value]
        names = ", ".join(member.value for member in members[1:])
        raise ValueError(f"must be one of {names}")

    return read
