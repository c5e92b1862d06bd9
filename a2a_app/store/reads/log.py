"""The log: a task's events after a number, and how far the logs of many tasks have got."""

from collections.abc import Iterable
from itertools import accumulate
from uuid import UUID

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.database.values import ByteLength
from a2a_app.store.events import Event, LargeReadError


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
    # The numbers have no gaps. A limit would be part of the statement's text.
    last = seq + (limit if most is None else _fitting(task_id, seq, limit, most))
    found = selects.select_values(
        models.Event,
        ("seq", "turn", "state", "body", "artifact_id"),
        order_by=("seq",),
        task=task_id,
        seq__gt=seq,
        seq__lte=last,
    )
    return [
        Event(number, turn, protocol.TaskState(state), body, artifact_id)
        for number, turn, state, body, artifact_id in found
    ]


def artifacts_after(task_id: UUID, seq: int, *, limit: int) -> list[tuple[int, str]]:
    """Return the numbers of the events after a number, in order, each with its artifact's id."""
    later = models.Event.objects.filter(task=task_id, seq__gt=seq).order_by("seq")
    return list(later.values_list("seq", "artifact_id")[:limit])


def _fitting(task_id: UUID, seq: int, limit: int, most: int) -> int:
    """Return how many of the next events, `limit` at most, have `most` bytes together."""
    following = models.Event.objects.filter(task=task_id, seq__gt=seq, seq__lte=seq + limit)
    sizes = list(following.order_by("seq").values_list(ByteLength("body"), flat=True))
    if sizes and sizes[0] > most:
        raise LargeReadError(sizes[0])
    return sum(total <= most for total in accumulate(sizes))


def read_positions(task_ids: Iterable[UUID]) -> list[tuple[UUID, int, int]]:
    """Return each task's id, newest number and newest answered turn, in one query."""
    tasks = models.Task.objects.filter(pk__in=list(task_ids))
    return list(tasks.values_list("pk", "seq", "answered"))
