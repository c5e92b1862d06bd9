"""Order: when a task's messages and artifacts came, by the numbers of its log and by the clock."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from a2a_app import models


class Entry(NamedTuple):
    """A message or an artifact of a task, in the order in which they came."""

    seq: int
    """The event that it came with, or that began it."""
    at: datetime | None
    """When that was; None where it is not known any more."""
    message_id: str = ""
    artifact_id: str = ""
    last_seq: int | None = None
    """The event that closed the artifact; None while it is open."""


def read_order(task_id: UUID, seq: int, artifacts: Collection[str]) -> list[Entry]:
    """Return the messages of a task up to one number of its log, and some artifacts, in order.

    Args:
        task_id: The task.
        seq: The number. What came later is left out.
        artifacts: The ids of the artifacts.
    """
    messages = models.Message.objects.filter(task=task_id, seq__lte=seq)
    said = [
        Entry(number, at, message_id=message_id)
        for number, at, message_id in messages.values_list("seq", "created_at", "message_id")
    ]
    found = models.Artifact.objects.filter(task=task_id, artifact_id__in=artifacts)
    made = list(found.values_list("first_seq", "artifact_id", "last_seq"))
    events = models.Event.objects.filter(task=task_id, seq__in=[first for first, *_ in made])
    times = dict(events.values_list("seq", "created_at"))
    begun = [
        Entry(first, times.get(first), artifact_id=key, last_seq=_known(last, seq))
        for first, key, last in made
    ]
    return sorted([*said, *begun], key=lambda each: each.seq)


def _known(last: int | None, seq: int) -> int | None:
    """Return the number that closed an artifact, unless that is yet to come."""
    return last if last is not None and last <= seq else None
