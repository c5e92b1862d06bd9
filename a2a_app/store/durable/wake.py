"""Wake: the turn of a task, which waits, looks at once for what has come."""

from typing import NamedTuple
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from a2a_app import models


class Woken(NamedTuple):
    """The run that is to find what has come: it is at work, or its wake-up is due now."""

    run_id: UUID
    worker: str
    """The worker that has it. Empty: it was put away."""


def wake(task_id: UUID) -> Woken | None:
    """Have the turn of a task that waits look at once for what has come.

    Call it in the transaction that stores what has come, after the row of the task was locked, and
    have `notify.ring` tell the other processes once that is committed. A message that is lost
    costs time only.

    Returns:
        The run of the turn; None: no turn of the task is under way.
    """
    runs = models.Run.objects.filter(task=task_id, task__run=F("pk"), ended_at=None)
    found = runs.values_list("pk", "worker").first()
    if found is None:
        return None
    woken = Woken(*found)
    if not woken.worker:
        models.Run.objects.filter(pk=woken.run_id).update(wakes_at=Now())
    return woken
