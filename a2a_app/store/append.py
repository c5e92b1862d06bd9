"""The one write path (R1): append events to a task's log, and update what is derived from them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from a2a_app import models, protocol
from a2a_app.models.run import Outcome
from a2a_app.store import rows
from a2a_app.store.batch import Batch
from a2a_app.store.claims import Claim, Claimant, first_claim
from a2a_app.store.database import atomic, connection
from a2a_app.store.files import take
from a2a_app.store.head import Head, RunKey, read_head
from a2a_app.store.inserts import Row
from a2a_app.store.log import Flush
from a2a_app.store.projection import ArtifactChange, Change, check_holder, project
from a2a_app.store.read import Scope
from a2a_app.store.refusals import ContextChangedError, TaskGoneError
from a2a_app.store.sendings import keep_sending
from a2a_app.store.updates import Update
from a2a_app.store.webhooks import announce, put_webhook

OUTCOMES = {
    protocol.TaskState.COMPLETED: Outcome.COMPLETED,
    protocol.TaskState.FAILED: Outcome.FAILED,
    protocol.TaskState.CANCELED: Outcome.CANCELED,
    protocol.TaskState.REJECTED: Outcome.REJECTED,
}


class _MovedError(Exception):
    """The task is no longer at the number that was read."""


def no_order(task_id: UUID) -> None:
    """Queue nothing: the sweep finds the turn."""


def append(
    head: Head,
    updates: Sequence[Update],
    *,
    run: RunKey | None = None,
    order: Callable[[UUID], None] = no_order,
    claimant: Claimant | None = None,
    at: datetime | None = None,
    again: bool = False,
) -> Flush:
    """Add the updates to the task's log, all of them or none, in one transaction.

    Args:
        head: The task as the caller last saw it; where it has moved on, it is read again.
        updates: What happened, in order.
        run: In whose name; its writes are refused once it no longer holds the task.
        order: The runner's, told of the task in the same transaction where there is a turn to do.
        claimant: Whose that turn is from the start, if it may begin at once: it is not ordered.
        at: When it happened, from `now`; None: now.
        again: Whether the same was asked before, with the same `at`, and the connection broke
            before the answer came: what was committed then is not committed twice.

    Returns:
        The new head and the events, numbered and committed.

    Raises:
        Refused: The rules forbid it, see `refusals`; nothing was stored.
    """
    at = at or now()
    change = _projected(head, updates, run, at)
    if again and _is_committed(change):
        return Flush(rows.head_after(change), tuple(change.events))
    try:
        return _write(change, order, claimant)
    except _MovedError:
        pass
    with atomic():
        change = _projected(_held_head(head.task_id), updates, run, at)
        return _write(change, order, claimant)


def _held_head(task_id: UUID) -> Head:
    """Read a task that nobody is quicker with a second time, on any database.

    The statement changes nothing, and holds the row: SQLite has no other way. Raises TaskGoneError.
    """
    if not models.Task.objects.filter(pk=task_id).update(seq=F("seq")):
        raise TaskGoneError
    return read_head(task_id)


def now() -> datetime:
    """Give the time to the millisecond.

    Clients get no more; a row that kept more would sort and filter apart from what they see.
    """
    exact = timezone.now()
    return exact.replace(microsecond=exact.microsecond // 1000 * 1000)


def _projected(head: Head, updates: Sequence[Update], run: RunKey | None, at: datetime) -> Change:
    check_holder(head, run)
    return project(head, updates, run=run, at=at)


def _is_committed(change: Change) -> bool:
    """Tell whether the log has these very events at these very numbers."""
    logged = models.Event.objects.filter(
        task=change.head.task_id, seq__gt=change.before.seq, seq__lte=change.head.seq
    ).order_by("seq")
    wanted = [(event.seq, event.body) for event in change.events]
    return bool(wanted) and list(logged.values_list("seq", "body")) == wanted


def _write(change: Change, order: Callable[[UUID], None], claimant: Claimant | None) -> Flush:
    run = _begun(change, claimant)
    batch = Batch()
    _add_task(batch, change, run)
    _add_artifacts(batch, change)
    _add_state(batch, change)
    if change.run is not None and change.ends_run:
        outcome = OUTCOMES.get(change.head.state, Outcome.YIELDED)
        batch.update(models.Run, rows.run_end(outcome, change.error), pk=change.run.id)
    # Read before anything is stored: a turn that begins at once must not fail once it is there.
    claim = None if run is None else _claim_of(change, run)
    stopped: list[tuple[UUID, str]] = []
    later = _later(change, None if run is not None else order, stopped)
    if batch.is_atomic and not later:
        batch.run()
    else:
        with atomic():
            batch.run()
            for step in later:
                step()
    said = change.turns[0][2].message if change.turns else None
    return Flush(change.head, tuple(change.events), tuple(stopped), claim, said)


def _later(
    change: Change, order: Callable[[UUID], None] | None, stopped: list[tuple[UUID, str]]
) -> list[Callable[[], object]]:
    """Give what is to be done in the same transaction, once the rows are there: mostly nothing."""
    head, received = change.head, [each for _, _, each in change.turns]
    steps: list[tuple[object, Callable[[], object]]] = [
        (change.turns and order, lambda: order and order(head.task_id)),
        (change.files, lambda: take(change.files, context=head.context_key, task=head.task_id)),
        (_closing(change), lambda: _close_artifacts(change)),
        (any(each.key for each in received), lambda: _keep_sendings(change)),
        (any(each.webhook for each in received), lambda: _put_webhooks(change)),
        (head.pushed, lambda: announce(head.task_id, head.seq)),
        (_has_others(change), lambda: stopped.extend(_end_others(change))),
    ]
    return [step for needed, step in steps if needed]


def _begun(change: Change, claimant: Claimant | None) -> Row | None:
    """Make the row of the turn that may begin at once, if there is one and somebody to do it."""
    if claimant is None or not change.turns or not change.before.is_idle:
        return None
    [run] = rows.runs(change, claimant)
    return run


def _claim_of(change: Change, run: Row) -> Claim:
    [(_, turn, received)] = change.turns
    return first_claim(change.head, RunKey(run["id"], turn), run["worker"], received)


def _add_task(batch: Batch, change: Change, run: Row | None) -> None:
    # The task's row points to the run's, and the run's to the task's.
    both = connection().features.can_defer_constraint_checks
    holder = run["id"] if run is not None and both else None
    if change.before.seq == 0:
        if change.head.begins_context:
            batch.insert(models.Context, [rows.context(change)])
        batch.insert(models.Task, [rows.task(change, holder)])
        batch.insert(models.Message, rows.messages(change))
    else:
        # The messages first: the task's row points to one of them.
        batch.insert(models.Message, rows.messages(change))
        _move_task(batch, change, holder)
    batch.insert(models.Event, rows.events(change))
    batch.insert(models.Run, [run] if run is not None else rows.runs(change))
    if run is not None and not both:
        batch.update(models.Task, {"run": run["id"]}, pk=change.head.task_id)


def _move_task(batch: Batch, change: Change, holder: UUID | None) -> None:
    """Take the next numbers, or find that another has: the guard of every write (R2, R3, R7)."""
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
        **held,
    )
    change.head = rows.head_after(change)


def _add_artifacts(batch: Batch, change: Change) -> None:
    """Write the artifacts that begin here: the chunks of others are in the log only."""
    if change.ends_task:
        for key, first_seq in change.head.artifacts.items():
            open_ = ArtifactChange(first_seq=first_seq, begins=False)
            changed = change.artifacts.setdefault(key, open_)
            changed.last_seq = changed.last_seq or change.head.seq
    targeted = connection().features.supports_update_conflicts_with_target
    batch.insert(
        models.Artifact,
        [rows.artifact(change, key) for key, it in change.artifacts.items() if it.begins],
        overwrite=rows.ARTIFACT_FIELDS,
        unique=("task", "artifact_id") if targeted else (),
    )


def _closing(change: Change) -> list[str]:
    """Give the artifacts that end here and began earlier."""
    return [
        key for key, it in change.artifacts.items() if it.last_seq is not None and not it.begins
    ]


def _close_artifacts(change: Change) -> None:
    for key in _closing(change):
        rows.close_artifact(change, key)


def _keep_sendings(change: Change) -> None:
    scope = Scope(change.head.agent, change.head.owner)
    for _, turn, received in change.turns:
        if received.key is not None:
            keep_sending(scope, received.key, task=change.head.task_id, turn=turn)


def _put_webhooks(change: Change) -> None:
    for _, _, received in change.turns:
        if received.webhook is not None:
            put_webhook(change.head.task_id, received.webhook, after=change.head.seq)


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
    """Whether the task that ends here may have runs besides the one that ends it."""
    return change.ends_task and (change.run is None or change.run.turn != change.head.turn)


def _end_others(change: Change) -> list[tuple[UUID, str]]:
    """End with the task every run that it still has; gives those that somebody works on."""
    left = models.Run.objects.filter(task=change.head.task_id, ended_at=None)
    batch = Batch()
    working = []
    for key, worker in left.values_list("pk", "worker"):
        outcome = OUTCOMES[change.head.state] if worker else Outcome.DROPPED
        error = change.error if worker else ""
        batch.update(models.Run, rows.run_end(outcome, error), pk=key)
        if worker:
            working.append((key, worker))
    batch.run()
    return working
