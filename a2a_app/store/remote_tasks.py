"""Remote tasks: what turns have asked other agents, and which tasks it became."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.store.refusals import RunLostError
from a2a_app.store.steps import Outcome, Place, record_step
from a2a_app.store.task_head import RunKey, TaskHead

Row = models.RemoteTask
MAX_TEXT = 1000


class Asked(NamedTuple):
    """What a turn has asked another agent: columns of its row, named as these are."""

    id: UUID
    """The key under which the message is sent, however often."""
    name: str
    remote_id: str
    """The id of the other task; empty: it is not known yet."""
    created_at: datetime
    heard_at: datetime


def ask_once(
    head: TaskHead, run: RunKey, place: Place, agent: str, text: str, *, is_local: bool
) -> Asked:
    """Store that a turn asks another agent, before anything is sent; return what is stored.

    Args:
        head: The task of the turn.
        run: The run, which must hold the task (R7).
        place: The place among the steps of the turn.
        agent: The other agent, as the code names it.
        text: What it is asked, of which the beginning is stored for people.
        is_local: Whether it is an agent of this project.

    Raises:
        RunLostError: The run no longer holds the task. Nothing was stored.
    """
    which = {"task_id": head.task_id, "turn": place.turn, "number": place.number}
    with atomic():
        _hold(head, run)
        rows = Row.objects.filter(**which)
        if not rows.exists():
            told = {"name": place.name, "agent": agent, "text": text[:MAX_TEXT]}
            Row.objects.create(**which, **told, is_local=is_local)
        return Asked._make(rows.values_list(*Asked._fields).get())


def note_remote_id(asked: UUID, remote_id: str) -> None:
    """Store which task the other agent has made of what it was asked."""
    Row.objects.filter(pk=asked, remote_id="").update(remote_id=remote_id, heard_at=Now())


def note_heard(asked: UUID, state: str) -> None:
    """Store in which state the other task is, as its agent has just said."""
    Row.objects.filter(pk=asked, ended_at=None).update(state=state, heard_at=Now())


def record_reply(
    asked: UUID,
    state: str,
    head: TaskHead,
    run: RunKey,
    place: Place,
    outcome: Outcome,
    files: Collection[UUID] = (),
) -> None:
    """Record what has come of what was asked, as `record_step` does, and that it is over.

    Args:
        asked: The key of the remote task.
        state: Its last state; empty: the agent has answered without a task, or not at all.
        head, run, place, outcome, files: As `record_step` takes them.

    Raises:
        RunLostError: The run no longer holds the task. Nothing was stored.
    """
    with atomic():
        record_step(head, run, place, outcome, files)
        Row.objects.filter(pk=asked, ended_at=None).update(state=state, ended_at=Now())


def _hold(head: TaskHead, run: RunKey) -> None:
    """Lock a task's row for a run; raise RunLostError where it does not hold the task."""
    if not models.Task.objects.filter(pk=head.task_id, run=run.id).update(seq=F("seq")):
        raise RunLostError
