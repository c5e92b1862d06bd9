"""Wake-ups: runs that are put away while their turn waits, and when they are to go on.

A run that is put away is over, and has no worker. The run that goes on with its turn is there
already. It holds the task, so that neither it nor a later turn of the task is begun, and has no
lease. Whatever wakes it moves its wake-up to now. A process that finds the wake-up due makes it a
run that waits for a worker like any other.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models.functions import Now

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.deletes import lock_rows
from a2a_app.database.values import EPOCH, new_key, read_time
from a2a_app.models.run import Outcome
from a2a_app.store.durable.steps import hold_task
from a2a_app.store.refusals import RunLostError
from a2a_app.store.task_head import RunKey
from a2a_app.store.writes.append import enqueue_nothing
from a2a_app.store.writes.rows import run_end


class Due(NamedTuple):
    """A run whose wake-up is due."""

    run_id: UUID
    task_id: UUID
    owner: str


class Agenda(NamedTuple):
    """What is to be woken."""

    due: list[Due]
    seconds: float | None
    """In how many seconds the next wake-up is due; None: none of those that were read."""


def put_away(
    task_id: UUID, run: RunKey, until: datetime | None, has_come: Callable[[], bool]
) -> bool:
    """Put a run away, unless what its turn waits for is there; once however often this is called.

    Args:
        task_id: The task.
        run: The run, which must hold the task.
        until: When its turn is to go on at the latest, on the database's clock; None: when it is
            woken.
        has_come: Tells whether something is there that the turn waits for. It is called with the
            task's row locked, in the same transaction: what comes later finds the run put away.

    Returns:
        Whether it is put away.

    Raises:
        RunLostError: The run no longer holds the task.
    """
    with atomic():
        try:
            hold_task(task_id, run)
        except RunLostError:
            # After an answer that was lost it is put away already.
            if models.Run.objects.filter(pk=run.id, outcome=Outcome.PUT_AWAY).exists():
                return True
            raise
        if has_come():
            return False
        following = models.Run.objects.get(pk=run.id)
        models.Run.objects.filter(pk=run.id).update(**run_end(Outcome.PUT_AWAY))
        following.pk, following.attempt, following.worker = new_key(), following.attempt + 1, ""
        following.place = following.lease_until = following.started_at = None
        following.wakes_at = until
        following.save(force_insert=True)
        models.Task.objects.filter(pk=task_id).update(run=following.pk)
    return True


def read_agenda(agents: Collection[str], limit: int) -> Agenda:
    """Return which runs of these agents are to be woken, and when the next one is."""
    asleep = models.Run.objects.filter(wakes_at__gt=EPOCH, ended_at=None)
    first = asleep.filter(task__agent__in=agents).order_by("wakes_at")
    rows: list[Any] = list(first.values_list("wakes_at", "pk", "task", "task__owner")[: limit + 1])
    if not rows:
        return Agenda([], None)
    now = read_time()
    due = [Due(*values) for wakes_at, *values in rows if wakes_at <= now]
    later = [wakes_at for wakes_at, *_ in rows if wakes_at > now]
    if len(due) > limit:
        return Agenda(due[:limit], 0.0)
    return Agenda(due, (later[0] - now).total_seconds() if later else None)


def begin_again(due: Sequence[Due], enqueue: Callable[[UUID], None] = enqueue_nothing) -> list[Due]:
    """Have runs that are due wait for a worker.

    A run that another process has woken is left out, and so is one whose task somebody else is
    changing: it is still due.

    Args:
        due: The runs.
        enqueue: Called with the id of each one's task in the same transaction.

    Returns:
        Those of the runs that were woken by this call.
    """
    with atomic():
        # It waits for nobody, and so whoever locks two of the tasks need not wait for this.
        named = models.Task.objects.filter(pk__in=[each.task_id for each in due])
        held = set(lock_rows(named, "run", touch="seq", skip_locked=True))
        asleep = models.Run.objects.filter(
            pk__in=[each.run_id for each in due if (each.run_id,) in held],
            ended_at=None,
            lease_until=None,
        )
        woken = set(asleep.values_list("pk", flat=True))
        found = [each for each in due if each.run_id in woken]
        if found:
            models.Task.objects.filter(pk__in=[each.task_id for each in found]).update(run=None)
            asleep.filter(pk__in=woken).update(lease_until=Now(), wakes_at=None)
        for each in found:
            enqueue(each.task_id)
    return found
