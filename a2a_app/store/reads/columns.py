"""Columns: what is read of rows, as named tuples, which are faster to make than models."""

from collections.abc import Callable, Collection, Iterable, Sequence
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
    size: int
    """How many bytes the task has in JSON, at most."""
    status_key: UUID | None
    """The primary key of the message of its status, if that has one."""
    status_message: MessageRow | None = None
    """That message, where it was read too."""


TASK_FIELDS = (
    "pk", "context__context_id", "state", "status_at", "metadata", "seq", "turn", "answered",
    "size", "status_message_id",
)  # fmt: skip  # as one list
_WITH_MESSAGE = (*TASK_FIELDS, *(f"status_message__{name}" for name in MessageRow._fields))


def task_row(values: Sequence[Any]) -> TaskRow:
    """Return the row that the values of TASK_FIELDS make, without a message."""
    return TaskRow(*values)


def _with_message(values: Sequence[Any]) -> TaskRow:
    own = len(TASK_FIELDS)
    row, message = task_row(values[:own]), MessageRow._make(values[own:])
    # A project may have deleted the message: its key stays.
    return row._replace(status_message=message if message.role is not None else None)


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
        selects.prepare_select(
            models.Task, TASK_FIELDS if messages else _WITH_MESSAGE, pk=pk, **where
        ),
        _artifacts(task=pk),
        *([_messages(task=pk)] if messages else []),
    )
    if found is None:
        return None
    values, (made, *all_said) = found
    artifacts, said = _made(ArtifactRow, made), _made(MessageRow, *all_said)
    if not messages:
        return TaskWithChildren(_with_message(values), said, artifacts)
    [row] = with_status_messages([task_row(values)], said)
    return TaskWithChildren(row, said, artifacts)


def with_status_messages(found: Iterable[TaskRow], said: Iterable[MessageRow]) -> list[TaskRow]:
    """Return tasks with the messages of their statuses, which are among those given."""
    by_key = {message.pk: message for message in said}
    return [
        row if row.status_key is None else row._replace(status_message=by_key.get(row.status_key))
        for row in found
    ]


def tasks(*, order_by: Fields = (), limit: int | None = None, **where: Any) -> list[TaskRow]:
    """Return tasks without their messages. The arguments are those of `selects.select_models`."""
    found = selects.select_values(models.Task, TASK_FIELDS, order_by=order_by, limit=limit, **where)
    return [task_row(values) for values in found]


def messages(tasks: Collection[UUID]) -> list[MessageRow]:
    """Return tasks' messages, the newest first."""
    return _made(MessageRow, _of(tasks, _messages))


def messages_by_key(keys: Collection[UUID]) -> list[MessageRow]:
    """Return the messages that have these primary keys."""
    if not keys:
        return []  # Django has no SQL for "one of none".
    return _made(MessageRow, selects.fetch(_messages(pk__in=list(keys))))


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
