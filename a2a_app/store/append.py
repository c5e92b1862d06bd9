"""The one write path (R1): append events to a task's log, and update what is derived from them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connections
from django.db.models import F
from django.utils import timezone

from a2a_app import models, protocol
from a2a_app.models.run import Outcome
from a2a_app.store import rows, statements
from a2a_app.store.claims import Claim, Claimant, first_claim
from a2a_app.store.database import alias, atomic
from a2a_app.store.files import take
from a2a_app.store.head import Head, RunKey, read_head
from a2a_app.store.log import Flush
from a2a_app.store.projection import ArtifactChange, Change, check_holder, project
from a2a_app.store.read import Scope
from a2a_app.store.refusals import ContextChangedError
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
        with atomic():
            return _write(change, order, claimant)
    except _MovedError:
        pass
    with atomic():
        change = _projected(_held_head(head.task_id), updates, run, at)
        return _write(change, order, claimant)


def _held_head(task_id: UUID) -> Head:
    """Read a task that nobody is quicker with a second time, on any database.

    The statement changes nothing, and holds the row: SQLite has no other way.
    """
    models.Task.objects.filter(pk=task_id).update(seq=F("seq"))
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
    if change.before.seq == 0:
        if change.head.begins_context:
            statements.insert([rows.context(change)])
        statements.insert([rows.task(change)])
        rows.insert_messages(change)
    else:
        # The messages first: the task's row points to one of them.
        rows.insert_messages(change)
        _move_task(change)
    statements.insert(rows.events(change))
    claim = _insert_runs(change, claimant)
    if change.turns and claim is None:
        order(change.head.task_id)
    for _, _, received in change.turns:
        if received.webhook is not None:
            put_webhook(change.head.task_id, received.webhook, after=change.head.seq)
    if change.files:
        take(change.files, context=change.head.context_key, task=change.head.task_id)
    _keep_sendings(change)
    _write_artifacts(change)
    _save_state(change)
    if change.head.pushed:
        announce(change.head.task_id, change.head.seq)
    said = change.turns[0][2].message if change.turns else None
    return Flush(change.head, tuple(change.events), _end_runs(change), claim, said)


def _insert_runs(change: Change, claimant: Claimant | None) -> Claim | None:
    """Store the turns to do; gives the claim of the one that begins at once, if there is one."""
    if claimant is None or not change.turns or not change.before.is_idle:
        statements.insert(rows.runs(change))
        return None
    [run] = rows.runs(change, claimant)
    statements.insert([run])
    # The run's row first: where a database checks at once, the task's must not point to nothing.
    if not statements.update(models.Task, {"run": run.pk}, pk=change.head.task_id, run=None):
        raise _MovedError
    [(_, turn, received)] = change.turns
    return first_claim(change.head, RunKey(run.pk, turn), claimant.worker, received)


def _keep_sendings(change: Change) -> None:
    scope = Scope(change.head.agent, change.head.owner)
    for _, turn, received in change.turns:
        if received.key is not None:
            keep_sending(scope, received.key, task=change.head.task_id, turn=turn)


def _move_task(change: Change) -> None:
    """Take the next numbers, or find that another has: the guard of every write (R2, R3, R7)."""
    before = change.before
    moved = statements.update(
        models.Task,
        rows.task_changes(change),
        pk=before.task_id,
        seq=before.seq,
        answered=before.answered,
        pushed=before.pushed,
        **({} if change.run is None else {"run": change.run.id}),
    )
    if not moved:
        raise _MovedError
    change.head = rows.head_after(change)


def _write_artifacts(change: Change) -> None:
    closing = dict(change.head.artifacts) if change.ends_task else {}
    for key, first_seq in closing.items():
        change.artifacts.setdefault(key, ArtifactChange(first_seq=first_seq, begins=False))
    for changed in change.artifacts.values():
        if change.ends_task and changed.last_seq is None:
            changed.last_seq = change.head.seq
    begun = [rows.artifact(change, key) for key, it in change.artifacts.items() if it.begins]
    if begun:
        targeted = connections[alias()].features.supports_update_conflicts_with_target
        statements.insert(
            begun,
            overwrite=rows.ARTIFACT_FIELDS,
            unique=("task", "artifact_id") if targeted else (),
        )
    for key, changed in change.artifacts.items():
        if changed.last_seq is not None and not changed.begins:
            rows.close_artifact(change, key)


def _save_state(change: Change) -> None:
    if change.saved is None:
        return
    saved = change.saved
    if not statements.update(
        models.Context,
        {"state": saved.state, "version": saved.version + 1},
        pk=change.head.context_key,
        version=saved.version,
    ):
        raise ContextChangedError(change.head.context_id)


def _end_runs(change: Change) -> tuple[tuple[UUID, str], ...]:
    """End the run that wrote this, and with the task every run it still has."""
    own = change.run
    if own is not None and change.ends_run:
        outcome = OUTCOMES.get(change.head.state, Outcome.YIELDED)
        rows.end_runs([own.id], outcome, change.error)
    if not change.ends_task or (own is not None and own.turn == change.head.turn):
        return ()
    left = models.Run.objects.filter(task=change.head.task_id, ended_at=None)
    found = list(left.values_list("pk", "worker"))
    rows.end_runs(
        [key for key, worker in found if worker], OUTCOMES[change.head.state], change.error
    )
    rows.end_runs([key for key, worker in found if not worker], Outcome.DROPPED)
    return tuple((key, worker) for key, worker in found if worker)
