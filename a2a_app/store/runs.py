"""Runs: which worker works on which turn. A claim has a lease: renewed, given up or lost (R7).

Leases are measured on the database's clock, the one clock that all processes share.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F, Max
from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import models
from a2a_app.database import atomic, selects, statements
from a2a_app.database.batch import run_if
from a2a_app.database.selects import Select, fetch_with_children
from a2a_app.database.values import EPOCH, from_now, new_key
from a2a_app.models.run import Outcome
from a2a_app.store.claims import Claim, CredentialColumns, WorkerSlot, user_of
from a2a_app.store.events import Appended
from a2a_app.store.reads.columns import MessageRow
from a2a_app.store.reads.tasks import to_message
from a2a_app.store.task_head import (
    HeadColumns,
    RunKey,
    TaskHead,
    read_task_head,
    select_open_artifacts,
)
from a2a_app.store.updates import StatusUpdate, TurnLimits
from a2a_app.store.writes.append import TRIES, append, enqueue_nothing
from a2a_app.store.writes.limits import is_of_place, taken_places
from a2a_app.store.writes.rows import place_of, run_end


class _RunColumns(NamedTuple):
    """The columns of a run's row that make its claim, named as a query names them."""

    pk: UUID
    queue: int
    turn: int
    attempt: int
    revision: str
    metadata: dict[str, Any]
    accepted_output_modes: list[str]
    extensions: list[str]
    trace: dict[str, str]
    task__context__state: dict[str, Any]
    task__context__version: int


# With those of the credentials, and of the message and the task that a run is about.
_CLAIM_FIELDS = (
    *_RunColumns._fields,
    *CredentialColumns._fields,
    *(f"message__{name}" for name in MessageRow._fields),
    *(f"task__{name}" for name in HeadColumns._fields),
)


@dataclass(frozen=True, slots=True)
class LostRun:
    """A run whose worker has not renewed its lease in time."""

    id: UUID
    task_id: UUID
    context_id: str
    agent: str
    attempt: int
    losses: int
    """How many attempts at its turn were lost, with this one."""
    worker: str
    since: datetime
    """When its lease ended."""


def claim(
    task_id: UUID,
    worker_slot: WorkerSlot,
    *,
    agents: Collection[str],
    earlier: Collection[WorkerSlot] = (),
    admit: Callable[[TaskHead, str], str | None] = lambda head, revision: revision,
    most_of: Callable[[str], int] = lambda agent: 0,
) -> Claim | None:
    """Claim the task's next turn for a worker.

    Args:
        task_id: The task.
        worker_slot: The slot that the turn is for.
        agents: The slugs of the agents that the worker has.
        earlier: Slots of the same worker whose connection broke before the answer came. A turn that
            one of them has claimed is returned now.
        admit: Called with the task, and with the revision under which its turn began, empty if it
            did not; returns that under which it goes on. None: the worker has no room for its
            owner, or lacks its code.
        most_of: Called with the slug of its agent; returns how many turns of one owner may be
            worked on at once, in all processes. 0: any number.

    Returns:
        The claim; None where there is no turn that this worker may begin now.
    """
    if not agents:
        return None
    taken = _find_taken(task_id, worker_slot, earlier) if earlier else None
    which = {"worker": ""} if taken is None else {"pk": taken}
    select = _select_claim(task_id, agents, **which)
    if (found := fetch_with_children(select, select_open_artifacts(task_id))) is None:
        return None
    run, claim = _make_claim(*found, worker_slot.worker)
    if taken is not None:
        return claim
    if (revision := admit(claim.head, claim.revision)) is None:
        return None
    claim = replace(claim, revision=revision)
    return claim if _take(claim, run.queue, worker_slot, most_of(claim.head.agent)) else None


def put_back(claim: Claim) -> None:
    """Undo a claim whose turn was not begun, so that any worker may claim it."""
    with atomic():
        if statements.update(models.Task, {"run": None}, pk=claim.head.task_id, run=claim.run.id):
            # Without a place: those for turns that wait may all be taken.
            unbegun = {"revision": ""} if claim.attempt == 1 else {}
            models.Run.objects.filter(pk=claim.run.id, worker=claim.worker, ended_at=None).update(
                worker="", lease_until=Now(), started_at=None, place=None, **unbegun
            )


def renew(worker: str, run_ids: Collection[UUID], *, lease: timedelta) -> set[UUID]:
    """Renew the leases of a worker's runs in one statement; return the runs that are lost."""
    held = models.Run.objects.filter(pk__in=run_ids, worker=worker, ended_at=None)
    if held.update(lease_until=from_now(lease)) == len(run_ids):
        return set()
    return set(run_ids) - set(held.values_list("pk", flat=True))


def give_back(worker: str) -> int:
    """End the leases of all runs of a worker, so that others take over at once; return how many."""
    # Only a run that is not over has a lease. Leases have an index, and workers have none.
    held = models.Run.objects.filter(worker=worker, ended_at=None, lease_until__gt=EPOCH)
    return held.update(lease_until=Now())


def bring_near(lease: timedelta) -> None:
    """Correct leases that lie further ahead than they can: a clock was wrong as they were set.

    A lease that is longer than two leases counts from now on. A turn that nobody has begun, and
    that seems to come from the future, may be begun at once.
    """
    far = models.Run.objects.filter(lease_until__gt=from_now(2 * lease))
    # A look first: on SQLite a change waits for the writers. In the order of the index, so that
    # PostgreSQL does not look for any such row in the whole table.
    if far.order_by("lease_until").values_list("pk").first():
        far.exclude(worker="").update(lease_until=from_now(lease))
        far.filter(worker="", created_at__gt=from_now(lease)).update(lease_until=Now())


def lost(*, limit: int, held: Collection[UUID] = ()) -> list[LostRun]:
    """Return runs whose worker has not renewed its lease, the longest lost first.

    Args:
        limit: How many at most.
        held: Runs that the caller works on itself, and which are not lost whatever the clock says.
    """
    runs = models.Run.objects.filter(lease_until__lt=Now()).exclude(worker="")
    runs = runs.exclude(pk__in=held) if held else runs
    found = runs.select_related("task__context").order_by("lease_until")[:limit]
    return [
        LostRun(
            id=row.pk,
            task_id=row.task_id,
            context_id=row.task.context.context_id,
            agent=row.task.agent,
            attempt=row.attempt,
            losses=_losses(row),
            worker=row.worker,
            since=row.lease_until,
        )
        for row in found
        if row.lease_until is not None
    ]


def retry(
    run: LostRun,
    enqueue: Callable[[UUID], None] = enqueue_nothing,
    *,
    pause: timedelta = timedelta(0),
) -> bool:
    """Make a new attempt at a lost run's turn; return False where another process was quicker.

    Args:
        run: The lost run.
        enqueue: Called with the task's id in the same transaction, unless there is a pause.
        pause: How long the sweeps leave the turn alone.
    """
    with atomic():
        attempt = _lose(run)
        if attempt is None:
            return False
        attempt.pk, attempt.attempt, attempt.worker = new_key(), run.attempt + 1, ""
        attempt.place = None
        attempt.outcome, attempt.started_at, attempt.ended_at = "", None, None
        attempt.lease_until = timezone.now() + pause
        attempt.save(force_insert=True)
        if not pause:
            enqueue(run.task_id)
        return True


def fail_lost(run: LostRun, update: StatusUpdate) -> Appended | None:
    """End a lost run's task with a reason; return None where another process was quicker."""
    with atomic():
        if _lose(run) is None:
            return None
        return append(read_task_head(run.task_id), [update])


def _select_claim(task_id: UUID, agents: Collection[str], **which: Any) -> Select:
    """Return what reads the values of _CLAIM_FIELDS, of the task's next run that is not over."""
    return selects.prepare_select(
        models.Run,
        _CLAIM_FIELDS,
        order_by=("turn", "attempt"),
        limit=1,
        task=task_id,
        task__agent__in=list(agents),
        ended_at=None,
        lease_until__gt=EPOCH,  # none has the run that waits for a decision
        **which,
    )


def _make_claim(
    values: Iterable[Any], children: Sequence[Iterable[Any]], worker: str
) -> tuple[_RunColumns, Claim]:
    """Make the claim of a run from the values of _CLAIM_FIELDS, and the task's open artifacts."""
    [open_artifacts] = children
    left = iter(values)
    run = _RunColumns._make(islice(left, len(_RunColumns._fields)))
    given = CredentialColumns._make(islice(left, len(CredentialColumns._fields)))
    message = MessageRow._make(islice(left, len(MessageRow._fields)))
    head = replace(HeadColumns._make(left).head(open_artifacts), run_id=run.pk)
    return run, Claim(
        run=RunKey(run.pk, run.turn),
        worker=worker,
        attempt=run.attempt,
        head=head,
        message=to_message(message, context_id=head.context_id),
        metadata=run.metadata,
        accepted_output_modes=run.accepted_output_modes,
        extensions=run.extensions,
        credentials=given.credentials(),
        user=user_of(head),
        context_state=run.task__context__state,
        context_version=run.task__context__version,
        trace=run.trace,
        revision=run.revision,
    )


def _find_taken(
    task_id: UUID, worker_slot: WorkerSlot, earlier: Collection[WorkerSlot]
) -> UUID | None:
    """Return the run that an earlier slot has claimed and not lost, and renew its lease."""
    moments = [each.at for each in earlier]
    taken = models.Run.objects.filter(task=task_id, task__run=F("pk"), ended_at=None)
    row = taken.filter(worker=worker_slot.worker, started_at__in=moments).first()
    if row is None or renew(worker_slot.worker, [row.pk], lease=worker_slot.lease):
        return None
    return row.pk


def _take(claim: Claim, queue: int, worker_slot: WorkerSlot, most: int) -> bool:
    """Make the run hold its task and one of the places of its owner's turns.

    Returns:
        Whether it does: another one may hold the task, the run may be over, or all `most` places
        be taken.
    """
    for _ in range(TRIES):
        try:
            limits = TurnLimits(running=most)
            taken = taken_places(queue) if most else ()
            return _take_place(claim, worker_slot, place_of(limits, runs=True, taken=taken))
        except LookupError:
            return False
        except IntegrityError as error:  # another turn was quicker to take the place
            if not is_of_place(error):
                raise
    return False


def _take_place(claim: Claim, worker_slot: WorkerSlot, place: int | None) -> bool:
    task, run = claim.head.task_id, claim.run.id
    values = {
        "worker": worker_slot.worker,
        "place": place,
        "revision": claim.revision,
        "lease_until": from_now(worker_slot.lease),
        "started_at": worker_slot.at,
    }
    held, taken = run_if(
        statements.prepare_update(models.Task, {"run": run}, pk=task, run=None),
        statements.prepare_update(models.Run, values, pk=run, worker="", ended_at=None),
    )
    if held and not taken:
        # The task was ended meanwhile, and the run with it. Should this fail, nothing is lost.
        statements.update(models.Task, {"run": None}, pk=task, run=run)
    return bool(taken)


def _losses(row: models.Run) -> int:
    """Count the attempts at a turn that were lost since it was put away, if it was.

    Others have ended at a question.
    """
    if row.attempt == 1:
        return 1
    same = models.Run.objects.filter(task=row.task_id, message=row.message_id)
    rested = same.filter(outcome=Outcome.PUT_AWAY).aggregate(last=Max("attempt"))["last"] or 0
    return 1 + same.filter(outcome=Outcome.LOST, attempt__gt=rested).count()


def _lose(run: LostRun) -> models.Run | None:
    """End a lost run; return its row as it was, and None where another process was quicker."""
    # The row of the task is locked before those of its runs, as by whatever writes to it.
    models.Task.objects.filter(pk=run.task_id).update(seq=F("seq"))
    over = models.Run.objects.filter(
        pk=run.id, worker=run.worker, ended_at=None, lease_until__lt=Now()
    )
    # A run that is over has no more what was handed on.
    row = over.first()
    if row is None or not over.update(**run_end(Outcome.LOST)):
        return None
    models.Task.objects.filter(pk=run.task_id, run=run.id).update(run=None)
    return row
