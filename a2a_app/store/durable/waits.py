"""Waits: the steps of a turn that wait for something, and until when."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.values import from_now
from a2a_app.store.durable.steps import Place, hold_task
from a2a_app.store.task_head import RunKey


class Begun(NamedTuple):
    """A wait that has begun, in this attempt at the turn or in an earlier one."""

    until: datetime | None
    """Until when, on the database's clock; None: for ever."""
    seconds_left: float | None
    """For how many seconds more; None: for ever."""


def begin_wait(
    task_id: UUID, run: RunKey, place: Place, until: timedelta | datetime | None
) -> Begun:
    """Record that a turn waits, once however often this is called.

    Args:
        task_id: The task.
        run: The run, which must hold the task (R7, R18).
        place: Which step it is.
        until: For how long, or until when; None: for ever.

    Raises:
        RunLostError: The run no longer holds the task. Nothing was stored.
    """
    end = from_now(until) if isinstance(until, timedelta) else until
    with atomic():
        hold_task(task_id, run)
        which = {"task_id": task_id, "turn": place.turn, "number": place.number}
        found = models.Step.objects.filter(**which)
        # After an answer that was lost it is there already.
        if not found.exists():
            models.Step.objects.create(
                **which, kind=place.kind, name=place.name, until=end, started_at=timezone.now()
            )
        recorded, now = found.values_list("until", Now()).get()
        return Begun(recorded, seconds_between(now, recorded))


def seconds_between(now: datetime, until: datetime | None) -> float | None:
    """Return how many seconds there are until a time; None: there is no such time."""
    return None if until is None else (until - now).total_seconds()
