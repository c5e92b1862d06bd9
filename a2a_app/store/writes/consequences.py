"""Consequences: what some changes of a task need besides their rows, in the same transaction."""

from typing import Any
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import models
from a2a_app.database.batch import Batch
from a2a_app.database.values import new_key
from a2a_app.models.approval import Ending
from a2a_app.models.owners import Scope
from a2a_app.models.run import OUTCOMES, Outcome
from a2a_app.protocol.states import INTERRUPTED_STATES
from a2a_app.store.claims import CredentialColumns
from a2a_app.store.durable.wake import Woken, wake
from a2a_app.store.refusals import DecidedError
from a2a_app.store.updates import Ask
from a2a_app.store.webhooks import put_webhook
from a2a_app.store.writes import rows
from a2a_app.store.writes.additions import ReadTurn
from a2a_app.store.writes.idempotency import remember_message
from a2a_app.store.writes.projection import Change


def move_turns(change: Change) -> None:
    """Store what a change asks, what has become of an open question, and what the run has read."""
    for turn in change.read:
        _end_read(change, turn)
    if change.resolution or change.withdrawn:
        _end_question(change)
    if change.asked:
        _ask(change, change.asked)


def _end_read(change: Change, turn: ReadTurn) -> None:
    """End the run of a turn whose message the turn before it has read."""
    waiting = models.Run.objects.filter(task=change.head.task_id, turn=turn.number, ended_at=None)
    waiting.update(**rows.run_end(Outcome.READ), read_after=turn.after_step)


def _ask(change: Change, asked: Ask) -> None:
    """Store a question, and the run that goes on once it is decided, after the one that asks."""
    run, task_id = change.run, change.head.task_id
    assert run is not None  # only a run asks
    withdrawn, until = change.withdrawn, asked.until
    if not asked.choices and _goes_on(asked):
        until = timezone.now()
    models.Approval.objects.create(
        id=asked.id, task_id=task_id, turn=asked.turn, digest=asked.digest, number=asked.number,
        question=asked.question, data=asked.data, choices=list(asked.choices),
        permission=asked.permission, until=until,
        ending=Ending.WITHDRAWN if withdrawn else "", ended_at=change.at if withdrawn else None,
    )  # fmt: skip  # a column for each of its fields
    following = models.Run.objects.get(pk=run.id)
    models.Run.objects.filter(pk=run.id).update(handed_on="")
    if withdrawn:
        return
    following.pk, following.attempt, following.worker = new_key(), following.attempt + 1, ""
    following.outcome, following.place, following.lease_until = "", None, None
    following.started_at = following.ended_at = None
    following.save(force_insert=True)


def _goes_on(asked: Ask) -> bool:
    """Tell whether another agent of this project, whose question is passed on, has gone on."""
    task = models.RemoteTask.objects.filter(pk=asked.digest, is_local=True)
    return task.exclude(state__in=[state.value for state in INTERRUPTED_STATES]).exists()


def _end_question(change: Change) -> None:
    """Store what has become of the open question, and let the run go on that has waited for it.

    Raises:
        DecidedError: Another question is open, or none.
    """
    resolution, task_id = change.resolution, change.head.task_id
    open_now = models.Approval.objects.filter(task=task_id, ended_at=None)
    waiting = models.Run.objects.filter(task=task_id, ended_at=None, lease_until=None)
    if resolution is None:
        open_now.update(ending=Ending.WITHDRAWN, ended_at=change.at)
        if not change.ends_task:  # else it ends with the others
            waiting.update(**rows.run_end(Outcome.DROPPED))
        return
    decided = {
        "ending": resolution.ending,
        "ended_at": change.at,
        "choice": resolution.choice,
        "comment": resolution.comment,
        "decided_as": resolution.decided_as,
        "decided_by": resolution.user_id,
    }
    if resolution.ending == Ending.DECIDED:
        open_now = open_now.filter(Q(until=None) | Q(until__gt=Now()))
    if not open_now.filter(pk=resolution.approval).update(**decided):
        raise DecidedError
    values: dict[str, Any] = {"lease_until": timezone.now(), "turn": change.head.answered + 1}
    for turn in change.turns:  # one at most: the message that decides
        models.Approval.objects.filter(pk=resolution.approval).update(answer=turn.message_key)
        values |= CredentialColumns.of(turn.received.credentials)._asdict()
        values |= {"trace": turn.received.trace, "extensions": list(turn.received.extensions)}
    waiting.update(**values)


def close_artifacts(change: Change) -> None:
    """Write the artifacts that end with a change and began before it."""
    for key in change.closing_artifacts:
        rows.close_artifact(change, key)


def remember_messages(change: Change) -> None:
    """Store the keys of messages, so that none is taken twice; raise AlreadySentError.

    With that of another turn's message, that turn knows which task it has become.
    """
    scope = Scope(change.head.agent, change.head.owner)
    for turn in change.turns:
        if (key := turn.received.key) is not None:
            remember_message(scope, key, task=change.head.task_id, turn=turn.number)
        if (asked := turn.received.asked_by) is not None:
            named = models.RemoteTask.objects.filter(pk=asked, remote_id="")
            named.update(remote_id=str(change.head.task_id), state=change.head.state.value)


def put_webhooks(change: Change) -> None:
    """Store the webhooks that came with messages; raise what `put_webhook` raises."""
    for turn in change.turns:
        if (webhook := turn.received.webhook) is not None:
            head = change.head
            put_webhook(head.task_id, webhook, owner=head.owner, after=head.seq)


def tell_linked(change: Change, woken: list[Woken]) -> None:
    """Wake the turns that wait for the task, and have what it has asked others canceled at its end.

    The row of the task is locked before that of a task that has asked for it, and never after it.
    """
    task_id, state = change.head.task_id, change.head.state
    if change.ends_task:
        left = models.RemoteTask.objects.filter(task=task_id, ended_at=None, cancel_at=None)
        left.update(cancel_at=Now(), unwanted_at=Now())
    asked = models.RemoteTask.objects.filter(
        remote_id=str(task_id), is_local=True, ended_at=None, cancel_at=None
    )
    for waiting in sorted(set(asked.values_list("task", flat=True))):
        if not models.Task.objects.filter(pk=waiting).update(seq=F("seq")):
            continue
        of_one = asked.filter(task=waiting)
        of_one.update(state=state.value)
        if change.before.state.is_interrupted:
            # A question of it, which was passed on, needs no answer any more.
            questions = [str(key) for key in of_one.values_list("pk", flat=True)]
            passed = models.Approval.objects.filter(task=waiting, ended_at=None)
            passed.filter(digest__in=questions).update(until=Now())
        if (run := wake(waiting)) is not None:
            woken.append(run)


def end_others(change: Change, stopped: list[tuple[UUID, str]]) -> None:
    """End with the task every run that it still has; add to `stopped` those that are worked on."""
    left = models.Run.objects.filter(task=change.head.task_id, ended_at=None)
    batch = Batch()
    for key, worker in left.values_list("pk", "worker"):
        outcome = OUTCOMES[change.head.state] if worker else Outcome.DROPPED
        error = change.error if worker else ""
        batch.update(models.Run, rows.run_end(outcome, error), pk=key)
        if worker:
            stopped.append((key, worker))
    batch.run()
