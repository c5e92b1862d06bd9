"""The log: a task's events after a number, and how far the logs of many tasks have got."""

from collections.abc import Iterable
from itertools import accumulate
from typing import Any
from uuid import UUID

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.database.selects import Selected
from a2a_app.database.values import ByteLength
from a2a_app.store.events import Event, LargeReadError

_EVENT = ("seq", "turn", "state", "body", "artifact_id")
_SIZE = ByteLength("body")


def events_after(task_id: UUID, seq: int, *, limit: int, most: int | None = None) -> list[Event]:
    """Return the events of a task's log after a number, in order.

    Args:
        task_id: The task.
        seq: The number.
        limit: How many events at most.
        most: How many bytes they may have together; None: any number.

    Raises:
        LargeReadError: The first one alone has more than `most` bytes.
    """
    count = limit if most is None else _fitting(task_id, seq, limit, most)
    found = _select(_EVENT, task_id, seq, count) if count else []
    return [
        Event(number, turn, protocol.TaskState(state), body, artifact_id)
        for number, turn, state, body, artifact_id in found
    ]


def artifacts_after(task_id: UUID, seq: int, *, limit: int) -> list[tuple[int, str]]:
    """Return the numbers of the events after a number, in order, each with its artifact's id."""
    return _select(("seq", "artifact_id"), task_id, seq, limit)


def _fitting(task_id: UUID, seq: int, limit: int, most: int) -> int:
    """Return how many of the next events, `limit` at most, have `most` bytes together."""
    sizes = [size for (size,) in _select((_SIZE,), task_id, seq, limit)]
    if sizes and sizes[0] > most:
        raise LargeReadError(sizes[0])
    return sum(total <= most for total in accumulate(sizes))


def _select(selected: Selected, task_id: UUID, seq: int, limit: int) -> list[Any]:
    """Return what is selected of the events after a number, in order."""
    # The numbers have no gaps. A limit would be part of the statement's text.
    within: dict[str, Any] = {"task": task_id, "seq__gt": seq, "seq__lte": seq + limit}
    return selects.select_values(models.Event, selected, order_by=("seq",), **within)


def read_positions(task_ids: Iterable[UUID]) -> list[tuple[UUID, int, int]]:
    """Return each task's id, newest number and newest answered turn, in one query."""
    tasks = models.Task.objects.filter(pk__in=list(task_ids))
    return list(tasks.values_list("pk", "seq", "answered"))
