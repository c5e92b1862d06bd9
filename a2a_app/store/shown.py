"""What is shown of rows: these columns, and no models, which take long to make."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from a2a_app import models
from a2a_app.store import statements
from a2a_app.store.statements import Fields


class MessageRow(NamedTuple):
    """What is shown of a message."""

    pk: UUID
    task_id: UUID | None
    message_id: str
    role: str
    parts: list[dict[str, Any]]
    metadata: dict[str, Any]
    extensions: list[str]
    reference_task_ids: list[str]


class ArtifactRow(NamedTuple):
    """What is shown of an artifact."""

    task_id: UUID
    artifact_id: str
    name: str
    description: str
    parts: list[dict[str, Any]]
    metadata: dict[str, Any]
    extensions: list[str]
    first_seq: int
    last_seq: int | None


class TaskRow(NamedTuple):
    """What is shown of a task, and what its other rows are read by."""

    pk: UUID
    context_id: str
    """As clients say it."""
    state: str
    status_at: datetime
    metadata: dict[str, Any]
    seq: int
    turn: int
    answered: int
    status_message: MessageRow | None


_OWN = ("pk", "context__context_id", "state", "status_at", "metadata", "seq", "turn", "answered")
TASK_FIELDS = (*_OWN, *(f"status_message__{name}" for name in MessageRow._fields))


def task_row(values: Sequence[Any]) -> TaskRow:
    """Make a task's row of its TASK_FIELDS."""
    said = MessageRow._make(values[len(_OWN) :])
    return TaskRow._make([*values[: len(_OWN)], said if said.pk is not None else None])


def tasks(*, order_by: Fields = (), limit: int | None = None, **where: Any) -> list[TaskRow]:
    """Read tasks. See `statements.select`."""
    found = statements.select_values(
        models.Task, TASK_FIELDS, order_by=order_by, limit=limit, **where
    )
    return [task_row(values) for values in found]


def messages(**where: Any) -> list[MessageRow]:
    """Read tasks' messages, the newest first."""
    found = statements.select_values(
        models.Message, MessageRow._fields, order_by=("-seq",), **where
    )
    return [MessageRow._make(values) for values in found]


def artifacts(**where: Any) -> list[ArtifactRow]:
    """Read tasks' artifacts, in the order in which they were begun."""
    found = statements.select_values(
        models.Artifact, ArtifactRow._fields, order_by=("first_seq",), **where
    )
    return [ArtifactRow._make(values) for values in found]
