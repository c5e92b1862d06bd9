"""Remote tasks: what turns have asked other agents, and which tasks it became."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.values import from_now
from a2a_app.protocol import Part
from a2a_app.protocol.states import INTERRUPTED_STATES, TERMINAL_STATES
from a2a_app.store.durable.steps import Outcome, Place, record_step
from a2a_app.store.durable.wake import Woken, wake
from a2a_app.store.reads.tasks import to_message
from a2a_app.store.refusals import RunLostError
from a2a_app.store.task_head import RunKey, TaskHead

Row = models.RemoteTask
MAX_TEXT = 1000
_WAITING = {state.value for state in INTERRUPTED_STATES}
_RESTING = _WAITING | {state.value for state in TERMINAL_STATES}


class RemoteAsk(NamedTuple):
    """What a turn has asked another agent: columns of its row, named as these are."""

    id: UUID
    """The key under which the message is sent, however often."""
    name: str
    remote_id: str
    """The id of the other task; empty: it is not known yet."""
    answered: int
    """How many of the other agent's questions were answered, or are so no more."""
    created_at: datetime
    heard_at: datetime
    has_webhook: bool
    """Whether the other agent was asked to tell us of the task."""
    rung_at: datetime | None
    """When it last told us that there is something to do."""
    read_at: datetime
    """When that was, on the database's clock, which the other times are on too."""


class Unwanted(NamedTuple):
    """What nobody waits for any more: columns of its row, named as these are."""

    id: UUID
    agent: str
    is_local: bool
    remote_id: str
    unwanted_at: datetime
    read_at: datetime
    """When it was read, on the same clock: the database's."""


def ask_once(
    head: TaskHead, run: RunKey, place: Place, agent: str, text: str, *, is_local: bool
) -> RemoteAsk:
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
        # From now on what ends the task has this canceled. The row is locked too.
        held = models.Task.objects.filter(pk=head.task_id, run=run.id)
        if not held.update(linked=True):
            raise RunLostError
        rows = Row.objects.filter(**which)
        if not rows.exists():
            told = {"name": place.name, "agent": agent, "text": text[:MAX_TEXT]}
            Row.objects.create(**which, **told, is_local=is_local)
        found = rows.annotate(read_at=Now()).values_list(*RemoteAsk._fields).get()
        return RemoteAsk._make(found)


def note_remote_id(asked: UUID, remote_id: str) -> None:
    """Store which task the other agent has made of what it was asked."""
    Row.objects.filter(pk=asked, remote_id="").update(remote_id=remote_id, heard_at=Now())


def note_heard(asked: UUID, at: datetime) -> None:
    """Store that the other agent was there at a time, on the database's clock."""
    Row.objects.filter(pk=asked).update(heard_at=at)


def note_answered(asked: UUID, number: int) -> None:
    """Store that the other agent's question of that number needs no answer any more."""
    Row.objects.filter(pk=asked).update(answered=number, heard_at=Now())


def read_answer(message: UUID) -> Sequence[Part]:
    """Return the parts of the message by which the client has answered a question."""
    row = models.Message.objects.get(pk=message)
    return to_message(row, context_id="").parts


def has_come(asked: UUID) -> bool:
    """Tell whether the other task, which is one of this project, has ended or asks something."""
    return Row.objects.filter(pk=asked, state__in=_RESTING).exists()


def note_webhook(asked: UUID) -> None:
    """Store that the other agent was asked to tell us of the task."""
    Row.objects.filter(pk=asked).update(has_webhook=True)


def read_rung_at(asked: UUID) -> datetime | None:
    """Return when the other agent last told us that there is something to do; None: never."""
    return Row.objects.filter(pk=asked).values_list("rung_at", flat=True).first()


def ring_for(asked: UUID) -> Woken | None:
    """Have the turn that has asked an agent elsewhere look for what has come.

    Returns:
        The run of the turn, for `notify.ring`; None: nothing is waited for any more.
    """
    waits = Row.objects.filter(pk=asked, is_local=False, ended_at=None, cancel_at=None)
    task_id = waits.values_list("task", flat=True).first()
    if task_id is None:
        return None
    with atomic():
        # The row of the task is locked first, as by all that wakes a turn.
        if not models.Task.objects.filter(pk=task_id).update(seq=F("seq")):
            return None
        return wake(task_id) if waits.update(rung_at=Now()) else None


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
        row = Row.objects.filter(pk=asked, ended_at=None)
        if outcome.error_kind:
            row.update(cancel_at=Now(), unwanted_at=Now())
        elif state in _WAITING:
            row.update(state=state)  # it may be continued, and is canceled with the turn's task
        else:
            row.update(state=state, ended_at=Now())


def read_unwanted(limit: int) -> list[Unwanted]:
    """Return what is to be canceled now, since nobody waits for it any more."""
    due = Row.objects.filter(cancel_at__lte=Now()).exclude(remote_id="").order_by("cancel_at")
    return _unwanted(due[:limit])


def give_up(tasks: "QuerySet[models.Task]") -> None:
    """Have what some tasks have asked, and wait for, be canceled."""
    asked = Row.objects.filter(ended_at=None, cancel_at=None)
    linked = list(tasks.filter(linked=True).values_list("pk", flat=True))
    if linked:
        asked.filter(task__in=linked).update(cancel_at=Now(), unwanted_at=Now())


def give_up_unknown(patience: timedelta) -> None:
    """Forget what nobody has waited for during some time, and of which no task is known."""
    before = from_now(-patience)
    unknown = Row.objects.filter(cancel_at__lte=Now(), remote_id="", unwanted_at__lt=before)
    # A look first: on SQLite a change waits for the writers.
    if unknown.order_by("cancel_at").values_list("pk").first():
        unknown.update(cancel_at=None, ended_at=Now())


def unwanted_of(tasks: "QuerySet[models.Task]") -> list[Unwanted]:
    """Return what some tasks have asked, is known and nobody waits for any more, due or not."""
    left = Row.objects.filter(task__in=tasks, cancel_at__isnull=False).exclude(remote_id="")
    return _unwanted(left)


def has_to_cancel() -> Q:
    """Return the condition on tasks that have asked for something which is still to be canceled.

    Once such a task is deleted, nobody knows what to cancel.
    """
    unheard = Row.objects.filter(task=OuterRef("pk"), cancel_at__isnull=False, ended_at=None)
    return Q(Exists(unheard), linked=True)


def claim_unwanted(asked: UUID, pause: timedelta) -> bool:
    """Put the next try to cancel something off; return False where another process was quicker."""
    due = Row.objects.filter(pk=asked, cancel_at__lte=Now())
    return bool(due.update(cancel_at=from_now(pause)))


def note_canceled(asked: UUID) -> None:
    """Store that nothing is left to cancel."""
    Row.objects.filter(pk=asked).update(cancel_at=None, ended_at=Now())


def owner_of(task_id: str) -> str:
    """Return the owner of a task of this project; raise models.Task.DoesNotExist."""
    return models.Task.objects.values_list("owner", flat=True).get(pk=task_id)


def _unwanted(rows: "QuerySet[Row]") -> list[Unwanted]:
    found = rows.annotate(read_at=Now()).values_list(*Unwanted._fields)
    return [Unwanted._make(values) for values in found]
