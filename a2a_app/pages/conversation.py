"""The conversation of a task: its messages and artifacts in the order of the log.

It is read by a fixed number of statements, which read the beginning of large contents only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Left, Length
from django.utils.translation import gettext as _
from pydantic_core import from_json

from a2a_app import models
from a2a_app.operations.call import OPERATOR
from a2a_app.pages.contents import (
    CONTENT_CHARACTERS,
    IN_ADMIN,
    Budget,
    Content,
    Places,
    Source,
)
from a2a_app.protocol import Role

# How many messages and artifacts a page has, the newest ones.
ITEMS = 50
# How many characters of the JSON of one's parts are read. Bytes up to RAW_LIMIT are within it.
READ_CHARACTERS = 96 * 1024
# Of the artifacts that are open, so many of the newest chunks are shown.
OPEN_CHUNKS = 300
CHUNK_CHARACTERS = 4000
# How many characters of a request are read, for a list.
BEGINNING = 200


@dataclass(slots=True)
class Item:
    """A message or an artifact."""

    seq: int
    """The number of its event, or of the one that began it."""
    side: str
    """client, operator, agent or artifact."""
    who: str
    created_at: datetime | None = None
    name: str = ""
    description: str = ""
    contents: list[Content] = field(default_factory=list)
    artifact_id: str = ""
    is_open: bool = False
    """Whether more may come."""
    tail: str = ""
    """The newest text of an open artifact, in which nothing is interpreted."""
    tail_seq: int = 0
    """The number of the newest chunk in it."""
    is_tail: bool = False
    """Whether there is more before it."""
    key: UUID | None = None
    """The primary key of a message."""
    task: UUID | None = None
    """That of its task; None: it has none."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Some of the messages and artifacts of a task."""

    items: list[Item]
    earlier: int | None
    """Where earlier ones begin to be left out; None: these are all."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What whoever reads the page may see, and how much there is room for."""

    messages: bool
    artifacts: bool
    files: Mapping[str, models.File] | None
    budget: Budget
    places: Places = IN_ADMIN
    client: str = ""
    """What the client is called; empty: that."""
    answers: Places | None = None
    """Where all of a part of a message without a task is; None: nowhere."""


def read_conversation(task: models.Task, shown: Shown, before: int | None) -> Conversation:
    """Read the newest messages and artifacts of a task, or those before a number of the log."""
    found: list[Item] = []
    rows = _cut(task.messages.all(), "seq", before) if shown.messages else []
    made = _cut(task.artifacts.all(), "first_seq", before) if shown.artifacts else []
    newest = sorted([*rows, *made], key=_place, reverse=True)
    tails = _tails(task, [row for row in newest[:ITEMS] if isinstance(row, models.Artifact)])
    # The newest first: what there is room for is theirs.
    for row in newest[:ITEMS]:
        if isinstance(row, models.Message):
            found.append(_message(row, shown))
        else:
            found.append(_artifact(task, row, tails.get(row.artifact_id, []), shown))
    earlier = found[-1].seq if len(newest) > ITEMS else None
    return Conversation(found[::-1], earlier)


def read_answers(context: models.Context, shown: Shown) -> list[Item]:
    """Read the newest messages of a conversation that belong to no task, the oldest of them first.

    There are some where an agent answers without a task.
    """
    rows = _cut(context.messages.filter(task=None), "pk", None)[:ITEMS]
    return [_message(row, shown) for row in rows][::-1]


def read_said(
    context: models.Context, shown: Shown, before: UUID | None
) -> tuple[list[Item], UUID | None]:
    """Read the newest messages of a conversation in the order in which they came, or those before.

    Args:
        context: The conversation.
        shown: What may be seen.
        before: The key of a message.

    Returns:
        The messages, in tasks and without one; and the key of the first of them, where there are
        earlier ones.
    """
    rows = _cut(context.messages.all(), "pk", before)
    # The newest first: what there is room for is theirs.
    found = [_message(row, shown) for row in rows[:ITEMS]]
    return found[::-1], found[-1].key if len(rows) > ITEMS else None


def read_beginnings(tasks: Iterable[UUID]) -> dict[UUID, str | None]:
    """Return how the first messages of tasks begin. The database cuts what may be long."""
    text = KeyTextTransform("text", KeyTransform("0", "parts"))
    first = models.Message.objects.filter(task__in=tasks, seq=1, role=Role.USER.value)
    return dict(first.values_list("task_id", Left(text, BEGINNING)))


def _place(row: Any) -> tuple[int, Any]:
    return (row.seq if isinstance(row, models.Message) else row.first_seq), row.pk


def _cut(rows: QuerySet[Any], number: str, before: int | UUID | None) -> list[Any]:
    """Return the newest rows, each with the beginning of its parts as `start`."""
    if before is not None:
        rows = rows.filter(**{f"{number}__lt": before})
    text = Cast("parts", TextField())
    cut = rows.defer("parts").annotate(start=Left(text, READ_CHARACTERS), length=Length(text))
    return list(cut.order_by(f"-{number}", "-pk")[: ITEMS + 1])


def _contents(row: Any, source: Source) -> list[Content]:
    is_cut = row.length > READ_CHARACTERS
    parts = from_json(row.start, allow_partial="trailing-strings" if is_cut else False)
    return source.contents([part for part in parts if part], are_cut=is_cut)


def _message(row: Any, shown: Shown) -> Item:
    is_client = row.role == Role.USER.value
    holder, places = row.task_id, shown.places
    if holder is None and shown.answers is not None:
        holder, places = row.context_id, shown.answers
    source = Source(
        "message",
        row.pk,
        holder,
        shown.budget,
        shown.files,
        reads_markdown=not is_client,
        places=places,
    )
    item = Item(
        row.seq,
        side="client" if is_client else "agent",
        who=(shown.client or _("client")) if is_client else _("agent"),
        created_at=row.created_at,
        contents=_contents(row, source),
        key=row.pk,
        task=row.task_id,
    )
    if is_client and OPERATOR in row.metadata:
        item.side, item.who = "operator", _("operator")
    return item


def _artifact(
    task: models.Task, row: Any, chunks: list[tuple[int, str, int]], shown: Shown
) -> Item:
    item = Item(
        row.first_seq,
        side="artifact",
        who=_("artifact"),
        name=shown.budget.cut(row.name or row.artifact_id, 200),
        description=shown.budget.cut(row.description, 1000),
        artifact_id=row.artifact_id,
        is_open=row.last_seq is None,
    )
    source = Source(
        "artifact",
        row.pk,
        task.pk,
        shown.budget,
        shown.files,
        reads_markdown=True,
        places=shown.places,
    )
    if row.last_seq is not None:
        item.contents = _contents(row, source)
    elif chunks:
        _fill_open(item, chunks, shown.budget, row.first_seq)
    return item


def _fill_open(
    item: Item, chunks: list[tuple[int, str, int]], budget: Budget, first_seq: int
) -> None:
    """Show the text in the newest chunks of an open artifact; all else once it is whole."""
    whole = "".join(
        chunk_text(body, is_cut=length > CHUNK_CHARACTERS) for _, body, length in chunks
    )
    room = min(budget.left, CONTENT_CHARACTERS)
    item.tail = budget.cut(whole[-room:] if room else "")
    item.tail_seq = chunks[-1][0]
    item.is_tail = chunks[0][0] > first_seq or len(item.tail) < len(whole)


def chunk_text(body: str, *, is_cut: bool = False) -> str:
    """Return the text in a chunk, which goes on where that of the chunk before it ended.

    Args:
        body: The JSON of the event.
        is_cut: Whether the end of the JSON is missing.
    """
    parsed = from_json(body, allow_partial="trailing-strings" if is_cut else False)
    parts = parsed.get("artifactUpdate", {}).get("artifact", {}).get("parts", [])
    text = "\n".join(part["text"] for part in parts if "text" in part)
    return text if not parts or len(parts[0]) == 1 else f"\n{text}"


def _tails(task: models.Task, rows: Iterable[Any]) -> dict[str, list[tuple[int, str, int]]]:
    """Return the newest chunks of the open ones of some artifacts: numbers, texts and lengths."""
    opened = {row.artifact_id: row for row in rows if row.last_seq is None}
    if not opened:
        return {}
    first = min(row.first_seq for row in opened.values())
    chunks = models.Event.objects.filter(
        task=task.pk, seq__gte=first, seq__lte=task.seq, artifact_id__in=list(opened)
    ).order_by("-seq")
    tails: dict[str, list[tuple[int, str, int]]] = {}
    for seq, artifact_id, start, length in chunks.values_list(
        "seq", "artifact_id", Left("body", CHUNK_CHARACTERS), Length("body")
    )[:OPEN_CHUNKS]:
        if seq >= opened[artifact_id].first_seq:
            tails.setdefault(artifact_id, []).insert(0, (seq, start, length))
    return tails
