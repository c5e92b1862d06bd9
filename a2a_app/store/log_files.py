"""Log files: the logs of many tasks in one file of JSON lines, each of which can be read alone.

A gzip file may consist of several members, one after the other, and here each log is one. So a log
is read without those before it, a file without a certain log is the other members as they are, and
`zcat` shows everything.
"""

import gzip
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import IO, NamedTuple
from uuid import UUID

from django.core.files import File

# A file is made in memory up to so many bytes.
IN_MEMORY = 8_000_000
# zlib's own choice; the highest level takes several times as long, and saves little.
LEVEL = 6


class LoggedEvent(NamedTuple):
    """An event of a log, as its row has it."""

    seq: int
    turn: int
    state: str
    artifact_id: str
    body: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where in a file the log of a task is."""

    task_id: UUID
    start: int
    """The first byte."""
    size: int
    """How many bytes."""
    events: int = 0
    """How many events; 0: this is not known."""


class LogFile:
    """A file of logs that is being made. Use it as a context manager, which deletes it."""

    def __init__(self) -> None:
        self.content: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # closed by `__exit__`
        self.places: list[LogPlace] = []
        """Where each log is, in the order of the file."""

    def __enter__(self) -> "LogFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.content.close()

    def add(self, task_id: UUID, events: Iterable[LoggedEvent]) -> None:
        """Add the log of a task; nothing where there are no events."""
        start = self.content.tell()
        count = 0
        with gzip.GzipFile("", "wb", LEVEL, self.content, mtime=0) as member:
            for event in events:
                member.write(_line(task_id, event))
                count += 1
        if count:
            size = self.content.tell() - start
            self.places.append(LogPlace(task_id, start, size, count))
        else:
            self.content.seek(start)
            self.content.truncate()

    def add_from(self, other: "File[bytes]", place: LogPlace) -> None:
        """Add the log that is at a place of another file, as it is."""
        start = self.content.tell()
        other.seek(place.start)
        self.content.write(other.read(place.size))
        self.places.append(LogPlace(place.task_id, start, place.size))


def lines_of(log: bytes) -> Iterator[str]:
    """Yield the lines of one log, each with its end."""
    with gzip.open(BytesIO(log), "rt", encoding="utf-8", newline="\n") as lines:
        yield from lines


def _line(task_id: UUID, event: LoggedEvent) -> bytes:
    about = {
        "task": str(task_id),
        "seq": event.seq,
        "at": event.created_at.isoformat(),
        "turn": event.turn,
        "state": event.state,
        "artifactId": event.artifact_id,
    }
    # The event is JSON already, and stays as clients got it.
    return f'{json.dumps(about)[:-1]}, "event": {event.body}}}\n'.encode()
