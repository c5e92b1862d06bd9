"""The one write path (R1): append events to a task's log, and update the rows derived from them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F

from a2a_app import models, protocol
from a2a_app.database import atomic
from a2a_app.database.batch import Batch
from a2a_app.database.inserts import Row
from a2a_app.database.statements import Write
from a2a_app.database.values import current_time
from a2a_app.files.rows import attach_files
from a2a_app.store.claims import Claim, WorkerSlot, first_claim
from a2a_app.store.durable.wake import Woken
from a2a_app.store.events import Appended, Position
from a2a_app.store.refusals import ContextChangedError, TaskGoneError
from a2a_app.store.task_head import RunKey, TaskHead, read_task_head
from a2a_app.store.updates import Update
from a2a_app.store.webhooks import announce
from a2a_app.store.writes import consequences, limits, rows
from a2a_app.store.writes.additions import ArtifactChange
from a2a_app.store.writes.contexts import in_open_context
from a2a_app.store.writes.projection import Change, check_holder, project

# How often a free place is looked for.
TRIES = 32


class _MovedError(Exception):
    """The task is no longer at the number at which it was read."""


class _NearlyFullError(Exception):
    """The owner has so much stored that its messages must be counted one after the other."""


def enqueue_nothing(task_id: UUID) -> None:
    """Enqueue nothing: the sweep finds the turn."""


def append(
    head: TaskHead,
    updates: Sequence[Update],
    *,
    run: RunKey | None = None,
    enqueue: Callable[[UUID], None] = enqueue_nothing,
    first_job: Write | None = None,
    worker_slot: WorkerSlot | None = None,
    now: datetime | None = None,
    is_retry: bool = False,
) -> Appended:
    """Add the updates to the task's log, all of them or none, in one transaction.

    Args:
        head: The task as the caller last saw it. Where it has moved on, it is read again.
        updates: What happened, in order.
        run: The run that writes. It is refused once it no longer holds the task.
        enqueue: Called with the task's id in the same transaction, where there is a turn to do.
        first_job: A part of the statement that enqueues a new task's turn in place of `enqueue`.
        worker_slot: The slot that takes a turn which may begin at once. It is not enqueued.
        now: When it happened, from `current_time`; None: now.
        is_retry: Whether the same call, with the same `now`, may be committed already.

    Returns:
        The new head and the events, numbered and committed.

    Raises:
        Refused: The rules forbid it, see `refusals`. Nothing was stored.
        ResourceExhaustedError: The owner has as much as it may have. Nothing was stored.
    """
    now = now or current_time()
    change = _projected(head, updates, run, now)
    if is_retry and (committed := _find_committed(change)) is not None:
        return committed
    write = partial(_write, enqueue=enqueue, worker_slot=worker_slot, first_job=first_job)
    try:
        return write(change)
    except (_MovedError, _NearlyFullError, IntegrityError) as obstacle:
        change.taken_places = limits.find_taken(change, obstacle)
    return _write_alone(change, lambda: _projected(_held_head(head), updates, run, now), write)


def _write_alone(
    change: Change, project_again: Callable[[], Change], write: Callable[..., Appended]
) -> Appended:
    """Write a change that could not be written, while nobody else writes to the task.

    Nor does anybody store another message of the owner's meanwhile, where this is one.
    """
    # Each further time means that another turn has just got the place that was found free.
    for _ in range(TRIES):
        taken = change.taken_places
        try:
            with atomic():
                change = project_again()
                change.taken_places = taken
                if change.turns:
                    limits.wait_for_others(change.head.owner)
                return write(change, is_alone=True)
        except IntegrityError as error:
            change.taken_places = limits.find_taken(change, error)
    raise protocol.UnavailableError


def _held_head(head: TaskHead) -> TaskHead:
    """Lock a task's row and return its head; raise TaskGoneError where it was deleted.

    The statement changes nothing. SQLite has no other way to lock a row. A task that is not stored
    yet has none.
    """
    if head.seq == 0:
        return in_open_context(head)
    if not models.Task.objects.filter(pk=head.task_id).update(seq=F("seq")):
        raise TaskGoneError
    return read_task_head(head.task_id)


def _projected(
    head: TaskHead, updates: Sequence[Update], run: RunKey | None, now: datetime
) -> Change:
    check_holder(head, run)
    return project(head, updates, run=run, at=now)


def _find_committed(change: Change) -> Appended | None:
    """Return a change as the log has it; None: the log does not have its very events."""
    since = models.Event.objects.filter(task=change.head.task_id, seq__gt=change.before.seq)
    logged = list(since.order_by("seq").values_list("body", flat=True))
    wanted = [event.body for event in change.events]
    places = range(len(logged) - len(wanted) + 1) if wanted else ()
    found = [place for place in places if logged[place : place + len(wanted)] == wanted]
    if not found:
        return None
    if found[0] == 0:
        return _appended(change, head=rows.head_after(change))
    # Others came first. Whoever hears of it reads the log, which has the numbers.
    change.events.clear()
    return _appended(change, head=read_task_head(change.head.task_id))


def _write(
    change: Change,
    enqueue: Callable[[UUID], None],
    worker_slot: WorkerSlot | None,
    first_job: Write | None = None,
    *,
    is_alone: bool = False,
) -> Appended:
    run = _started_run(change, worker_slot)
    batch = Batch()
    _add_task(batch, change, run)
    _add_artifacts(batch, change)
    _add_state(batch, change)
    if change.run is not None and change.ends_run:
        batch.update(models.Run, rows.end_of_run(change), pk=change.run.id)
    # Read before anything is stored: a turn that begins at once must not fail once it is there.
    claim = None if run is None else _claim_of(change, run)
    stopped: list[tuple[UUID, str]] = []
    woken: list[Woken] = []
    job = first_job if run is None and change.before.seq == 0 else None
    if job is not None:
        batch.call(job)
    is_enqueued = run is not None or job is not None
    following = _following_steps(change, None if is_enqueued else enqueue, stopped)
    if _concerns_others(change):
        following.append(partial(consequences.tell_linked, change, woken))
    if change.moves_turns:
        following.insert(0, partial(consequences.move_turns, change))
    _add_usage(batch, change, following, is_alone=is_alone)
    if batch.is_atomic and not following:
        batch.run()
    else:
        with atomic():
            batch.run()
            for step in following:
                step()
    return _appended(change, stopped, claim, woken=woken)


def _add_usage(
    batch: Batch, change: Change, following: list[Callable[[], object]], *, is_alone: bool
) -> None:
    """Count what the task has more than was counted of it, and see that the owner may have it."""
    if not rows.counts(change):
        return
    before, head = change.before, change.head
    size = head.stored - before.counted
    added = rows.stored_bytes(head.owner, size)
    batch.insert(
        models.StoredBytes, [added], overwrite=("stored",), unique=("owner", "part"), adds=True
    )
    if not change.turns:
        return  # what an agent says counts, and is never refused
    if is_alone or not batch.runs_as_one:
        following.insert(0, partial(rows.check_stored, head.owner))
    elif (condition := rows.is_far_from_full(head.owner, size)) is not None:
        batch.require(condition, _NearlyFullError())


def _appended(
    change: Change,
    stopped: Sequence[tuple[UUID, str]] = (),
    claim: Claim | None = None,
    head: TaskHead | None = None,
    woken: Sequence[Woken] = (),
) -> Appended:
    before, head = change.before, head or change.head
    # A return may add no event, such as that of a run whose task has been left to its client.
    turn = change.events[-1].turn if change.events else head.turn
    return Appended(
        head=head,
        events=tuple(change.events),
        position=Position(head.task_id, head.seq, turn, head.state, head.seq, head.answered),
        state_before=before.state if before.seq else None,
        stopped=tuple(stopped),
        woken=tuple(woken),
        claim=claim,
        said=change.turns[0].received.message if change.turns else None,
        asked=change.asked if head.asks else None,
        resolution=change.resolution,
    )


def _following_steps(
    change: Change, enqueue: Callable[[UUID], None] | None, stopped: list[tuple[UUID, str]]
) -> list[Callable[[], object]]:
    """Return what is to be done in the same transaction once the rows are there: mostly nothing."""
    head, received = change.head, [turn.received for turn in change.turns]
    steps: list[Callable[[], object]] = []
    if (received or change.resolution) and enqueue is not None:
        steps.append(partial(enqueue, head.task_id))
    if change.files:
        steps.append(
            partial(attach_files, change.files, context=head.context_key, task=head.task_id)
        )
    if change.closing_artifacts:
        steps.append(partial(consequences.close_artifacts, change))
    if any(each.key for each in received):
        steps.append(partial(consequences.remember_messages, change))
    if head.pushed:
        steps.append(partial(announce, head.task_id, head.seq))
    if _has_others(change):
        steps.append(partial(consequences.end_others, change, stopped))
    if any(each.webhook for each in received):
        # The last one: it may wait for others of the owner's webhooks, and hold those up.
        steps.append(partial(consequences.put_webhooks, change))
    return steps


def _started_run(change: Change, worker_slot: WorkerSlot | None) -> Row | None:
    """Return the row of the turn that may begin at once, if there is one and a slot for it."""
    if worker_slot is None or not change.begins_turn:
        return None
    try:
        [run] = rows.runs(change, worker_slot)
    except LookupError:
        return None  # as many of the owner's turns are worked on as may be
    return run


def _claim_of(change: Change, run: Row) -> Claim:
    [turn] = change.turns
    key = RunKey(run["id"], turn.number)
    return first_claim(change.head, key, run["worker"], turn.received)


def _add_task(batch: Batch, change: Change, run: Row | None) -> None:
    holder = run["id"] if run is not None else None
    if change.before.seq == 0:
        if change.head.begins_context:
            batch.insert(models.Context, [rows.context(change)])
        batch.insert(models.Task, [rows.task(change, holder)])
        change.head.counted = change.head.stored
    else:
        _move_task(batch, change, holder)
    batch.insert(models.Message, rows.messages(change))
    batch.insert(models.Event, rows.events(change))
    batch.insert(models.Run, [run] if run is not None else _waiting_runs(change))


def _waiting_runs(change: Change) -> list[Row]:
    try:
        return rows.runs(change)
    except LookupError:
        raise limits.too_many(change.turns[0].received.limits) from None


def _move_task(batch: Batch, change: Change, holder: UUID | None) -> None:
    """Take the next numbers unless another has them: the guard of every write (R2, R3, R7)."""
    before = change.before
    values = rows.task_changes(change)
    held: dict[str, Any] = {} if change.run is None else {"run": change.run.id}
    if holder is not None:
        values["run"], held["run"] = holder, None
    batch.update(
        models.Task,
        values,
        or_raise=_MovedError(),
        pk=before.task_id,
        seq=before.seq,
        answered=before.answered,
        pushed=before.pushed,
        linked=before.linked,
        **held,
    )
    change.head = rows.head_after(change)


def _add_artifacts(batch: Batch, change: Change) -> None:
    """Write the artifacts that begin here. The chunks of others are in the log only."""
    if change.ends_task:
        for key, first_seq in change.head.artifacts.items():
            open_ = ArtifactChange(first_seq=first_seq, begins=False)
            changed = change.artifacts.setdefault(key, open_)
            changed.last_seq = changed.last_seq or change.head.seq
    batch.insert(
        models.Artifact,
        [rows.artifact(change, key) for key, it in change.artifacts.items() if it.begins],
        overwrite=rows.ARTIFACT_FIELDS,
        unique=("task", "artifact_id"),
    )


def _add_state(batch: Batch, change: Change) -> None:
    if change.saved is not None:
        batch.update(
            models.Context,
            {"state": change.saved.state, "version": change.saved.version + 1},
            or_raise=ContextChangedError(change.head.context_id),
            pk=change.head.context_key,
            version=change.saved.version,
        )


def _has_others(change: Change) -> bool:
    """Tell whether the task ends here and may have runs besides the one that ends it."""
    return change.ends_task and (change.run is None or change.run.turn != change.head.turn)


def _concerns_others(change: Change) -> bool:
    """Tell whether turns of other tasks have to know in which state the task is now."""
    states = (change.before.state, change.head.state)
    rests = any(state.is_terminal or state.is_interrupted for state in states)
    return change.head.linked and change.status_changed and rests
