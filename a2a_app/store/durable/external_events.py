"""External events: what happened elsewhere, and the turns that wait for it."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.models.step import Kind
from a2a_app.protocol.states import TERMINAL_STATES
from a2a_app.store.durable.steps import Outcome, Place
from a2a_app.store.durable.waits import begin_wait
from a2a_app.store.durable.wake import Woken, wake
from a2a_app.store.task_head import RunKey

TIMEOUT = "builtins.TimeoutError"
"""The class of the exception where no event has come in time."""


class Sent(NamedTuple):
    """What has become of an event that was sent."""

    is_kept: bool
    """Whether it is stored; else there is no such task, or it has ended."""
    woken: Woken | None
    """The run that is to find it, where a turn waits for it."""


class Received(NamedTuple):
    """What a turn that waits for an event has got."""

    outcome: Outcome
    """With `ended_at`: the event has come, or is too late."""
    seconds_left: float | None
    """For how many seconds more it waits; None: for ever."""


def send_event(task_id: UUID, name: str, data: Any, key: str) -> Sent:
    """Store an event for a task, and wake the turn that waits for it, in one transaction.

    The row of the task stays locked until the caller's transaction is over. So a turn that is about
    to be put away meanwhile finds the event, or is woken by it.

    Args:
        task_id: The task.
        name: The event's name.
        data: JSON values.
        key: By which it is known if it is sent again; empty: it never is.
    """
    with atomic():
        open_ones = models.Task.objects.filter(pk=task_id)
        if not open_ones.exclude(state__in=TERMINAL_STATES).update(seq=F("seq")):
            return Sent(False, None)
        events = models.ExternalEvent.objects.filter(task=task_id)
        if key and events.filter(key=key).exists():
            return Sent(True, None)
        events.create(task_id=task_id, name=name, key=key, data=[data])
        waits = models.Step.objects.filter(task=task_id, kind=Kind.EVENT, name=name, ended_at=None)
        return Sent(True, wake(task_id) if waits.exists() else None)


def has_event(task_id: UUID, name: str) -> bool:
    """Tell whether an event of that name has come that no turn has got."""
    return _left(task_id, name).exists()


def receive_event(
    task_id: UUID,
    run: RunKey,
    place: Place,
    until: timedelta | datetime | None,
    is_late: bool = False,
) -> Received:
    """Take the first event of a name for a turn, or record that it waits for one.

    What it got once it gets again, however often this is called.

    Args:
        task_id: The task.
        run: The run, which must hold the task (R7, R18).
        place: Which step it is; its name is that of the event.
        until: For how long it waits from the first call on, or until when; None: for ever.
        is_late: Whether it has waited for so long, whatever the database's clock says.

    Raises:
        RunLostError: The run no longer holds the task. Nothing was stored.
    """
    with atomic():
        begun = begin_wait(task_id, run, place, until)
        step = models.Step.objects.filter(task=task_id, turn=place.turn, number=place.number)
        outcome = Outcome._make(step.values_list(*Outcome._fields).get())
        left = begun.seconds_left
        if outcome.ended_at is None:
            is_over = is_late or (left is not None and left <= 0)
            if came := _take(task_id, place.name) or (_too_late(place.name) if is_over else {}):
                came["ended_at"] = timezone.now()
                step.update(**came)
                outcome = outcome._replace(**came)
        return Received(outcome, left)


def _take(task_id: UUID, name: str) -> dict[str, Any]:
    """Take the first event of a name; return what it changes of its step: nothing without one."""
    event = _left(task_id, name).order_by("pk").first()
    if event is None:
        return {}
    models.ExternalEvent.objects.filter(pk=event.pk).update(data=None, taken_at=Now())
    return {"result": event.data}


def _too_late(name: str) -> dict[str, Any]:
    return {"error_kind": TIMEOUT, "error": f"No event {name!r} has come in time."}


def _left(task_id: UUID, name: str) -> "QuerySet[models.ExternalEvent]":
    return models.ExternalEvent.objects.filter(task=task_id, name=name, taken_at=None)
