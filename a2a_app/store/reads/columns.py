"""Columns: what is read of rows, as named tuples, which are faster to make than models."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from a2a_app import models
from a2a_app.database import selects
from a2a_app.database.selects import Select, fetch_with_children
from a2a_app.database.statements import Fields

Columns = TypeVar("Columns", bound=NamedTuple)


class MessageRow(NamedTuple):
    """The columns of a message."""

    pk: UUID
    task_id: UUID | None
    seq: int
    message_id: str
    role: str
    parts: list[dict[str, Any]]
    metadata: dict[str, Any]
    extensions: list[str]
    reference_task_ids: list[str]


class ArtifactRow(NamedTuple):
    """The columns of an artifact."""

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
    """The columns of a task, with the message of its status."""

    pk: UUID
    context_id: str
    """The contextId."""
    state: str
    status_at: datetime
    metadata: dict[str, Any]
    seq: int
    turn: int
    answered: int
    status_message: MessageRow | None


_OWN = ("pk", "context__context_id", "state", "status_at", "metadata", "seq", "turn", "answered")
TASK_FIELDS = (*_OWN, *(f"status_message__{name}" for name in MessageRow._fields))
_LINKED = (*_OWN, "status_message_id")


def task_row(values: Sequence[Any]) -> TaskRow:
    """Return the row that the values of TASK_FIELDS make."""
    message = MessageRow._make(values[len(_OWN) :])
    return TaskRow._make([*values[: len(_OWN)], message if message.pk is not None else None])


class TaskWithChildren(NamedTuple):
    """A task with its messages and artifacts."""

    task: TaskRow
    messages: list[MessageRow]
    """The newest first."""
    artifacts: list[ArtifactRow]


def task_with_children(*, pk: UUID, messages: bool, **where: Any) -> TaskWithChildren | None:
    """Return a task with its children; None where there is no task, or it fails the conditions.

    The task's row is read first, so a child that is newer than the row's `seq` came after it. The
    children of a task that fails the conditions are not read either (R11).

    Args:
        pk: The task.
        messages: Whether its messages are wanted.
        where: The conditions, as for `filter`.
    """
    found = fetch_with_children(
        # Where all messages are read, that of the status is among them.
        selects.prepare_select(models.Task, _LINKED if messages else TASK_FIELDS, pk=pk, **where),
        _artifacts(task=pk),
        *([_messages(task=pk)] if messages else []),
    )
    if found is None:
        return None
    values, (made, *all_said) = found
    artifacts, said = _made(ArtifactRow, made), _made(MessageRow, *all_said)
    if not messages:
        return TaskWithChildren(task_row(values), said, artifacts)
    *own, key = values
    status_message = next((each for each in said if each.pk == key), None)
    return TaskWithChildren(TaskRow._make([*own, status_message]), said, artifacts)


def tasks(*, order_by: Fields = (), limit: int | None = None, **where: Any) -> list[TaskRow]:
    """Return tasks. The arguments are those of `selects.select_models`."""
    found = selects.select_values(models.Task, TASK_FIELDS, order_by=order_by, limit=limit, **where)
    return [task_row(values) for values in found]


def messages(tasks: Collection[UUID]) -> list[MessageRow]:
    """Return tasks' messages, the newest first."""
    return _made(MessageRow, _of(tasks, _messages))


def message_at(task: UUID, seq: int) -> MessageRow | None:
    """Return the message that came with an event of a task; None if none did."""
    found = _made(MessageRow, selects.fetch(_messages(task=task, seq=seq)))
    return found[0] if found else None


def artifacts(tasks: Collection[UUID]) -> list[ArtifactRow]:
    """Return tasks' artifacts, in the order in which they were begun."""
    return _made(ArtifactRow, _of(tasks, _artifacts))


def _of(tasks: Collection[UUID], read: Callable[..., Select]) -> list[Any]:
    # Django has no SQL for "one of none".
    return selects.fetch(read(task__pk__in=list(tasks))) if tasks else []


def _messages(**where: Any) -> Select:
    return selects.prepare_select(models.Message, MessageRow._fields, order_by=("-seq",), **where)


def _artifacts(**where: Any) -> Select:
    return selects.prepare_select(
        models.Artifact, ArtifactRow._fields, order_by=("first_seq",), **where
    )


def _made(row: type[Columns], *found: list[Any]) -> list[Columns]:
    return [row(*values) for some in found for values in some]
