"""Steps: what the steps of a turn have led to."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from a2a_app import models
from a2a_app.database import atomic, selects
from a2a_app.database.batch import Batch
from a2a_app.database.values import new_key
from a2a_app.files.rows import attach_files
from a2a_app.models.step import Kind as Kind
from a2a_app.store.refusals import RunLostError
from a2a_app.store.task_head import RunKey, TaskHead

# One object, so that the statement is compiled once.
_NOW = Now()


class Place(NamedTuple):
    """Which step of a turn it is."""

    turn: int
    """The number of the turn, the same in all of its attempts."""
    number: int
    name: str
    kind: str = Kind.WORK


class Outcome(NamedTuple):
    """What a step has led to: columns of its row, named as these are."""

    name: str
    result: list[Any] | None
    """An array of one value; None: it is in a file, or there is an error."""
    file: str
    error_kind: str
    """The class of the exception; empty: there was none."""
    error: str
    tries: int
    started_at: datetime
    ended_at: datetime | None = None
    """None: it waits, or waited for a time."""
    kind: str = Kind.WORK
    until: datetime | None = None
    """Until when it waits, on the database's clock; None: it does not, or for ever."""


class Recorded(NamedTuple):
    """The steps of a turn that are recorded."""

    steps: dict[int, Outcome]
    """By their numbers."""
    read_at: datetime | None
    """When that was, on the database's clock; None: there are none."""


def read_steps(task_id: UUID, turn: int) -> Recorded:
    """Return the steps of a turn that are recorded."""
    found = selects.select_values(
        models.Step, ("number", *Outcome._fields, _NOW), task=task_id, turn=turn
    )
    steps = {number: Outcome(*values) for number, *values, _ in found}
    return Recorded(steps, found[0][-1] if found else None)


def hold_task(task_id: UUID, run: RunKey) -> None:
    """Lock a task's row, so that no other run gets it before the transaction is over.

    Raises:
        RunLostError: The run does not hold the task.
    """
    held = models.Task.objects.filter(pk=task_id, run=run.id)
    if not held.update(seq=F("seq")):
        raise RunLostError


def record_step(
    head: TaskHead, run: RunKey, place: Place, outcome: Outcome, files: Collection[UUID] = ()
) -> None:
    """Record a step, once however often this is called with it.

    Args:
        head: The task.
        run: The run, which must hold the task (R7, R18).
        place: Which step it is.
        outcome: What it has led to.
        files: The file of its result, which becomes the task's.

    Raises:
        RunLostError: The run no longer holds the task. Nothing was stored.
    """
    if not files:
        _record(head.task_id, run, place, outcome)
        return
    with atomic():
        hold_task(head.task_id, run)
        which = {"task": head.task_id, "turn": place.turn, "number": place.number}
        # After an answer that was lost the step has its file already.
        if not models.Step.objects.filter(**which).exists():
            _record(head.task_id, run, place, outcome)
            attach_files(files, context=head.context_key, task=head.task_id)


def _record(task_id: UUID, run: RunKey, place: Place, outcome: Outcome) -> None:
    """Record a step, on PostgreSQL in one round trip."""
    which = {"task_id": task_id, "turn": place.turn, "number": place.number}
    batch = Batch()
    # It changes nothing, and locks the row as `hold_task` does.
    batch.update(models.Task, {"run": run.id}, or_raise=RunLostError(), pk=task_id, run=run.id)
    batch.insert(
        models.Step,
        [{"id": new_key(), **which, **outcome._asdict()}],
        # After an answer that was lost it is there already, and the same.
        overwrite=("ended_at",),
        unique=("task", "turn", "number"),
    )
    if batch.is_atomic:
        batch.run()
        return
    with atomic():
        batch.run()
