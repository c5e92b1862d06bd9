"""Notify: tell streams, workers and receivers of signals what was appended, once committed (R2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from django.dispatch import Signal

from a2a_app import broadcast, models, protocol, signals, telemetry
from a2a_app.models.owners import tenant_of
from a2a_app.store.durable.wake import Woken
from a2a_app.store.events import Appended, Event

Bell: TypeAlias = tuple[str, dict[str, Any]]

# Above this many characters a message has only the numbers, and each process reads the log once for
# all of its streams. Channel layers are made for small messages.
MAX_CHARACTERS = 128 * 1024


@dataclass(frozen=True, slots=True)
class TaskChanged:
    """The message to a task's group: what the log has reached, and the new events if small."""

    seq: int
    answered: int
    events: tuple[Event, ...]

    @classmethod
    def parse(cls, message: dict[str, Any]) -> "TaskChanged":
        """Read the message of a group."""
        first = message["seq"] - len(message["events"]) + 1
        events = tuple(
            Event(first + place, turn, protocol.TaskState(state), body)
            for place, (turn, state, body) in enumerate(message["events"])
        )
        return cls(message["seq"], message["answered"], events)


async def notify(appended: Appended) -> None:
    """Tell the task's streams what was committed, and workers which of their runs it stopped.

    Where the project listens to signals, it is told too, and waited for.
    """
    if telemetry.active is not None:
        telemetry.active.count_events(appended.head.agent, len(appended.events))
    if not any(signal.receivers for signal in signals.OF_TASKS):
        await _broadcast(appended)
        return
    # Begun before, so that whoever has seen a change in a stream can wait for its receivers.
    sending = signals.begin_sending(models.Task, _signals_of(appended))
    await _broadcast(appended)
    await signals.wait_for_receivers(sending)


async def _broadcast(appended: Appended) -> None:
    head = appended.head
    # Nobody waits for the first event: whoever knows the task, knows it from that commit or later.
    if head.seq > len(appended.events):
        await _tell_streams(appended)
    if head.pushed:
        await wake_deliverers()
    for run_id, worker in appended.stopped:
        await broadcast.publish(broadcast.worker_group(worker), {"stopped": run_id.hex})
    for woken in appended.woken:
        await ring(woken)
    if head.linked and head.state.is_terminal:
        await ring(None)  # what it has asked others is to be canceled


async def wake_deliverers() -> None:
    """Tell deliverers that something is due, though nothing was appended to a task."""
    await broadcast.publish(broadcast.PUSH_GROUP, {})


async def _tell_streams(appended: Appended) -> None:
    small = sum(len(event.body) for event in appended.events) <= MAX_CHARACTERS
    events = [[e.turn, e.state.value, e.body] for e in appended.events] if small else []
    message = {"seq": appended.head.seq, "answered": appended.head.answered, "events": events}
    await broadcast.publish(broadcast.task_group(appended.head.task_id), message)


def bell(woken: Woken | None) -> Bell:
    """Return the group and the message by which processes learn that a turn is to go on.

    Args:
        woken: What `wake` has returned. None: a turn was put away, and not for long.
    """
    if woken is None or not woken.worker:
        return broadcast.WAKE_GROUP, {}
    return broadcast.worker_group(woken.worker), {"woken": woken.run_id.hex}


async def ring(woken: Woken | None) -> None:
    """Tell the other processes what `bell` says, once it is committed."""
    await broadcast.publish(*bell(woken))


def _signals_of(appended: Appended) -> Iterator[tuple[Signal, dict[str, Any]]]:
    """Yield the signals that the events lead to, each with its arguments."""
    head, before = appended.head, appended.state_before
    about = {
        "task_id": head.task_id,
        "context_id": head.context_id,
        "agent": head.agent,
        "owner": head.owner,
        "tenant": tenant_of(head.owner),
        "user_id": head.user_id,
    }
    for event in appended.events:
        state, about = event.state, {**about, "seq": event.seq}
        if state is before:
            continue
        if before is None:
            yield signals.task_created, {**about, "state": state}
        else:
            yield signals.task_state_changed, {**about, "old": before, "new": state}
        if state.is_interrupted:
            yield signals.task_waiting, {**about, "state": state}
        elif state.is_terminal:
            yield signals.task_ended, {**about, "state": state}
        before = state
    # What has no choices is passed on, and is for nobody to decide.
    if (asked := appended.asked) is not None and asked.choices:
        wanted = {"question": asked.question, "data": asked.data, "choices": asked.choices}
        more = {"permission": asked.permission, "until": asked.until, **wanted}
        yield signals.approval_requested, {**about, "approval_id": asked.id, **more}
    if (end := appended.resolution) is not None and end.metadata:
        given = {"choice": end.choice, "comment": end.comment, "decided_as": end.decided_as}
        ended = {"decided_by": end.user_id, **given}
        yield signals.approval_decided, {**about, "approval_id": end.approval, **ended}


def stopped_run(message: dict[str, Any]) -> UUID | None:
    """Return the run that a message tells its worker to stop."""
    return UUID(message["stopped"]) if "stopped" in message else None


def woken_run(message: dict[str, Any]) -> UUID | None:
    """Return the run that is to look for what has come, as a message tells its worker."""
    return UUID(message["woken"]) if "woken" in message else None
