"""Tasks: rows back into the protocol's objects. Nothing here changes anything (R10)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Window
from django.db.models.functions import RowNumber
from pydantic_core import from_json

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.models.owners import Scope
from a2a_app.protocol.tasks import StoredTask
from a2a_app.store.events import LargeReadError, Position
from a2a_app.store.reads import columns
from a2a_app.store.reads.columns import ArtifactRow, MessageRow, TaskRow, TaskWithChildren
from a2a_app.store.reads.replay import assemble, chunk_of, to_artifact
from a2a_app.store.task_head import TaskHead, find_task_head


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A task at one number of its log, so that no event after it is lost (section 3.1.6)."""

    task: protocol.Task
    position: Position


def owned_task_head(scope: Scope, task_id: str) -> TaskHead:
    """Return a task's head; raise TaskNotFoundError, also for another owner's task."""
    found = find_task_head(_key(task_id), **scope.tasks())
    if found is None:
        raise _not_found(task_id)
    return found


def find_waiting_task(scope: Scope, context_id: str) -> TaskHead | None:
    """Return the head of the one task in a conversation that has asked its client for input.

    Returns:
        The head; None: no task waits for input, or several do.
    """
    of_context = {f"context__{name}": value for name, value in scope.tasks().items()}
    found = selects.select_values(
        models.Task,
        ("pk",),
        limit=2,
        state=protocol.TaskState.INPUT_REQUIRED.value,
        context__context_id=context_id,
        **scope.tasks(),
        **of_context,
    )
    if len(found) != 1:
        return None
    [(key,)] = found
    return find_task_head(key, **scope.tasks())


def _key(task_id: str) -> UUID:
    """Return the primary key of a task's id, which has one spelling only."""
    try:
        key = UUID(task_id)
    except ValueError:
        raise _not_found(task_id) from None
    # UUID takes braces, capitals and the like. Clients compare ids as texts.
    if str(key) != task_id:
        raise _not_found(task_id)
    return key


def _not_found(task_id: str) -> protocol.TaskNotFoundError:
    return protocol.TaskNotFoundError(task_id=task_id[:100])


def read_snapshot(
    scope: Scope,
    task_id: str,
    *,
    history_length: int | None = None,
    at: int | None = None,
    most: int | None = None,
) -> Snapshot:
    """Return a task together with the number of its newest event.

    The rows may be read one after the other while others write. Rows that are newer than the task's
    number are left out, so that the result is the task at exactly that number. (An artifact that
    was begun again in between is left out too. The event that began it comes after the number.)

    Args:
        scope: The caller's.
        task_id: The task's id, as the client gave it.
        history_length: How many of the newest messages to read; None: all (section 3.2.4).
        at: The number of the event after which the task is wanted; None: as it is now.
        most: How many bytes the task may have in JSON; None: any number.

    Raises:
        TaskNotFoundError: The caller has no such task.
        LargeReadError: It has more than `most` bytes. It was not read.
    """
    all_messages = history_length is None
    row, messages, artifacts = _with_children(scope, task_id, most, messages=all_messages)
    newest = row.seq
    if at is not None and at < newest:
        row = _row_at(row, at)
    history = _oldest_first([row], messages) if all_messages else _history([row], history_length)
    return Snapshot(
        task=_task(row, history.get(row.pk, []), _artifacts([row], artifacts).get(row.pk, [])),
        position=_position(row, newest),
    )


def _with_children(
    scope: Scope, task_id: str, most: int | None, *, messages: bool
) -> TaskWithChildren:
    where = {**scope.tasks(), **({} if most is None else {"size__lte": most})}
    found = columns.task_with_children(messages=messages, pk=_key(task_id), **where)
    if found is not None:
        return found
    if most is None:
        raise _not_found(task_id)
    raise LargeReadError(owned_task_row(scope, task_id).size)


def _row_at(row: TaskRow, seq: int) -> TaskRow:
    """Return a task's row as it was after one of its events, from the log."""
    changes = models.Event.objects.filter(task=row.pk, artifact_id="", seq__lte=seq)
    newest_first = changes.order_by("-seq").values_list("seq", "body")
    # Later changes may have added to the metadata. Where it is empty, one change is enough.
    logged = list(newest_first if row.metadata else newest_first[:1])
    updates = [from_json(body)["statusUpdate"] for _, body in logged]
    metadata: dict[str, Any] = {}
    for update in reversed(updates):
        metadata |= update.get("metadata", {})
    status = updates[0]["status"]
    return row._replace(
        state=status["state"],
        status_at=datetime.fromisoformat(status["timestamp"]),
        metadata=metadata,
        seq=seq,
        status_message=columns.message_at(row.pk, logged[0][0]) if "message" in status else None,
    )


def owned_task_row(scope: Scope, task_id: str) -> TaskRow:
    """Return a task's row without its messages; raise TaskNotFoundError."""
    found = columns.tasks(pk=_key(task_id), **scope.tasks())
    if not found:
        raise _not_found(task_id)
    [row] = found
    return row


def newest_position(scope: Scope, task_id: str) -> Position:
    """Return the position after the newest event of a task; raise TaskNotFoundError."""
    row = owned_task_row(scope, task_id)
    return _position(row, row.seq)


def position_at(scope: Scope, task_id: str, seq: int) -> Position:
    """Return the position after one number of a task's log, from which a stream goes on.

    Where the task has ended and its log is not kept any more, it is the position at the end.

    Raises TaskNotFoundError, and ValueError where the log has no such number.
    """
    row = owned_task_row(scope, task_id)
    state = protocol.TaskState(row.state)
    if state.is_terminal and seq <= row.seq and not _logged(row.pk, row.seq):
        return Position(row.pk, row.seq, row.turn, state, row.seq, row.answered)
    if seq == 0:
        return Position(row.pk, 0, 0, protocol.TaskState.SUBMITTED, row.seq, row.answered)
    event = _logged(row.pk, seq)
    if event is None:
        raise ValueError(f"The log of task {row.pk} has no event {seq}.")
    turn, then = event
    return Position(row.pk, seq, turn, protocol.TaskState(then), row.seq, row.answered)


def _logged(task_id: UUID, seq: int) -> tuple[int, str] | None:
    """Return the turn and the state of an event; None where the log does not have it."""
    events = models.Event.objects.filter(task=task_id, seq=seq)
    return events.values_list("turn", "state").first()


def _position(row: TaskRow, newest: int) -> Position:
    state = protocol.TaskState(row.state)
    turn = row.turn
    if state.is_interrupted and row.answered < row.turn:
        # The status may be that of an earlier turn, while a later one waits to begin.
        event = models.Event.objects.filter(task=row.pk, seq=row.seq)
        turn = event.values_list("turn", flat=True).get()
    return Position(row.pk, row.seq, turn, state, newest, row.answered)


def read_messages(scope: Scope, context_id: str, *, limit: int) -> list[protocol.Message]:
    """Return the newest messages of a conversation, over all of its tasks, oldest first."""
    newest = models.Message.objects.filter(
        context__agent=scope.agent, context__owner=scope.owner, context__context_id=context_id
    ).select_related("context")
    found = list(newest.order_by("-id")[:limit])
    return [to_message(row, context_id=context_id) for row in reversed(found)]


def client_messages(
    task_id: UUID, context_id: str, numbers: Collection[int]
) -> dict[int, protocol.Message]:
    """Return the messages of clients that came with events of a task, by the events' numbers."""
    found = models.Message.objects.filter(
        task=task_id, seq__in=numbers, role=protocol.Role.USER.value
    )
    return {row.seq: to_message(row, context_id=context_id) for row in found}


def with_details(
    found: Sequence[TaskRow], *, history_length: int | None, include_artifacts: bool
) -> list[protocol.Task]:
    """Return the protocol's tasks of many rows, by a fixed number of queries for all of them."""
    if history_length is None:
        said = columns.messages(_keys(found))
        found = columns.with_status_messages(found, said)
        history = _oldest_first(found, said)
    else:
        keys = [row.status_key for row in found if row.status_key]
        found = columns.with_status_messages(found, columns.messages_by_key(keys))
        history = _history(found, history_length)
    artifacts = _artifacts(found, columns.artifacts(_keys(found))) if include_artifacts else {}
    return [_task(row, history.get(row.pk, []), artifacts.get(row.pk, [])) for row in found]


def to_message(row: models.Message | MessageRow, *, context_id: str) -> protocol.Message:
    """Return the protocol's message of a row."""
    return protocol.Message.unchecked(
        message_id=row.message_id,
        context_id=context_id,
        task_id=str(row.task_id) if row.task_id else "",
        role=protocol.Role(row.role),
        parts=[protocol.Part.unchecked_from_dict(part) for part in row.parts],
        metadata=row.metadata,
        extensions=row.extensions,
        reference_task_ids=row.reference_task_ids,
    )


def _task(
    row: TaskRow, history: list[protocol.Message], artifacts: list[protocol.Artifact]
) -> protocol.Task:
    said = row.status_message
    return StoredTask.unchecked(
        id=str(row.pk),
        context_id=row.context_id,
        status=protocol.TaskStatus.unchecked(
            state=protocol.TaskState(row.state),
            message=to_message(said, context_id=row.context_id) if said else None,
            timestamp=row.status_at,
        ),
        artifacts=artifacts,
        history=history,
        metadata=row.metadata,
        generation=row.seq,
    )


def _history(found: Sequence[TaskRow], length: int | None) -> dict[UUID, list[protocol.Message]]:
    """Return the newest `length` messages of each task (section 3.2.4)."""
    if not length or not found:
        return {}
    return _oldest_first(found, _newest(found, length))


def _newest(found: Sequence[TaskRow], length: int) -> Iterable[models.Message]:
    current = [row.status_message.pk for row in found if row.status_message]
    said = models.Message.objects.exclude(pk__in=current).order_by("task", "-seq")
    if len(found) == 1:
        return said.filter(task=found[0].pk, seq__lte=found[0].seq)[:length]
    place = Window(RowNumber(), partition_by="task", order_by="-seq")
    return said.filter(task__in=_keys(found)).annotate(place=place).filter(place__lte=length)


def _oldest_first(
    found: Sequence[TaskRow], newest_first: Iterable[models.Message | MessageRow]
) -> dict[UUID, list[protocol.Message]]:
    """Sort messages by task, without those newer than the task's number and that of its status."""
    by_key = {row.pk: row for row in found}
    history: dict[UUID, list[protocol.Message]] = {key: [] for key in by_key}
    for said in newest_first:
        assert said.task_id is not None
        row = by_key[said.task_id]
        is_status = row.status_message is not None and row.status_message.pk == said.pk
        if said.seq <= row.seq and not is_status:
            history[row.pk].append(to_message(said, context_id=row.context_id))
    return {key: messages[::-1] for key, messages in history.items()}


def _artifacts(
    found: Sequence[TaskRow], known: Sequence[ArtifactRow]
) -> dict[UUID, list[protocol.Artifact]]:
    """Return the artifacts of many tasks, each as it was at its task's number."""
    numbers = {row.pk: row.seq for row in found}
    begun = [each for each in known if each.first_seq <= numbers[each.task_id]]
    growing = [each for each in begun if _is_open(each, numbers[each.task_id])]
    chunks = _chunks(growing, numbers)
    artifacts: dict[UUID, list[protocol.Artifact]] = {}
    for each in begun:
        logged = chunks.get((each.task_id, each.artifact_id))
        whole = assemble(logged) if logged else _columns(each)
        artifacts.setdefault(each.task_id, []).append(to_artifact(each.artifact_id, whole))
    return artifacts


def _keys(found: Iterable[TaskRow]) -> list[UUID]:
    return [row.pk for row in found]


def _is_open(row: ArtifactRow, seq: int) -> bool:
    return row.last_seq is None or row.last_seq > seq


def _chunks(
    growing: Sequence[ArtifactRow], numbers: Mapping[UUID, int]
) -> dict[tuple[UUID, str], list[dict[str, Any]]]:
    """Return the chunks of artifacts whose parts are in the log only, by one query."""
    if not growing:
        return {}
    first = {(each.task_id, each.artifact_id): each.first_seq for each in growing}
    logged = models.Event.objects.filter(
        task__in={each.task_id for each in growing},
        artifact_id__in={each.artifact_id for each in growing},
        seq__gte=min(first.values()),
    ).order_by("task", "seq")
    chunks: dict[tuple[UUID, str], list[dict[str, Any]]] = {}
    for event in logged:
        key = (event.task_id, event.artifact_id)
        if key in first and first[key] <= event.seq <= numbers[event.task_id]:
            chunks.setdefault(key, []).append(chunk_of(event.body))
    return chunks


def _columns(row: ArtifactRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "description": row.description,
        "parts": row.parts,
        "metadata": row.metadata,
        "extensions": row.extensions,
    }
