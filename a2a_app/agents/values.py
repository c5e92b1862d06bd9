"""Values: what of Python and of Django becomes the data or the file of a part."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias
from uuid import UUID

from django.core.files import File
from django.utils.functional import Promise
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from a2a_app.protocol import Model, Part
from a2a_app.protocol.scalars import make_storable

if TYPE_CHECKING:
    AnyFile: TypeAlias = File[Any]
else:
    AnyFile = File

SAYABLE = (
    "It may say text (str), data (a dict, list, number, bool, date, time, UUID, Decimal, dataclass "
    "or pydantic model), a file (bytes, a Path or a Django File), a Part, or one Message alone."
)
UNKNOWN_TYPE = "application/octet-stream"


class Dataclass(Protocol):
    """Any instance of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Data: TypeAlias = (
    BaseModel
    | Dataclass
    | Mapping[Any, Any]
    | Sequence[Any]
    | bool
    | int
    | float
    | Decimal
    | date
    | time
    | timedelta
    | UUID
)
"""What becomes data, if it is no text and no file."""
FileContent: TypeAlias = bytes | bytearray | memoryview | Path | AnyFile
"""What becomes a file."""

READ = (Path, File)
FILES = (bytes, bytearray, memoryview, *READ)


def as_json(value: Any, report: Callable[[], None]) -> Any:
    """Return a value as JSON values, in the way in which pydantic writes it.

    A date becomes text, a Decimal a text with all its digits, bytes base64.

    Args:
        value: The value.
        report: Called if a key had to be replaced: see `protocol.scalars.make_storable`.

    Raises:
        TypeError: There is no JSON for it.
    """
    # A generator would be used up, and an object of the protocol is mostly there by mistake.
    if value is None or isinstance(value, Iterator | Model):
        raise unsayable(value)
    try:
        try:
            return _as_json(value)
        except UnicodeEncodeError:  # of a key
            report()
            return _as_json(make_storable(value))
    except (PydanticSerializationError, ValueError) as error:
        raise unsayable(value, f" ({error})") from None


def _as_json(value: Any) -> Any:
    return to_jsonable_python(
        value, bytes_mode="base64", inf_nan_mode="constants", fallback=_as_plain
    )


def _as_plain(value: Any) -> Any:
    """Return a value that pydantic does not know as one that it does."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Promise):  # a text that is translated late
        return str(value)
    raise unsayable(value)


def unsayable(value: Any, why: str = "") -> TypeError:
    """Return the error that refuses a value, and names what an agent may say."""
    kind = value.__name__ if isinstance(value, type) else type(value).__name__
    return TypeError(f"An agent cannot say {kind}{why}. {SAYABLE}")


def file_part(content: FileContent) -> Part:
    """Return bytes, or the content of a file, as a part. This reads the file.

    A file's name and media type go with it. To say them of bytes, make a Part.

    Raises:
        OSError, ValueError: The file cannot be read.
    """
    if not isinstance(content, READ):
        return Part(raw=bytes(content), media_type=UNKNOWN_TYPE)
    name = Path(content.name or "").name
    media_type = getattr(content, "content_type", None) or guess_type(name)[0] or UNKNOWN_TYPE
    raw = content.read_bytes() if isinstance(content, Path) else _read(content)
    return Part(raw=raw, filename=name, media_type=media_type)


def _read(file: AnyFile) -> bytes:
    was_closed = file.closed
    try:
        content = file.open("rb").read()
    finally:
        if was_closed:
            file.close()
    return content.encode() if isinstance(content, str) else bytes(content)


async def with_files_read(contents: Sequence[Any]) -> list[Any]:
    """Return contents with parts in place of the files among them, read in a thread."""
    return [
        await asyncio.to_thread(file_part, each) if isinstance(each, READ) else each
        for each in contents
    ]
