"""Notify: tell streams and workers what was appended, after its commit (R2)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from a2a_app import broadcast, protocol
from a2a_app.store.events import Appended, Event

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
    """Tell the task's streams what was committed, and workers which of their runs it stopped."""
    head = appended.head
    # Nobody waits for the first event: whoever knows the task, knows it from that commit or later.
    if head.seq > len(appended.events):
        await _tell_streams(appended)
    if head.pushed:
        await broadcast.publish(broadcast.PUSH_GROUP, {})
    for run_id, worker in appended.stopped:
        await broadcast.publish(broadcast.worker_group(worker), {"stopped": run_id.hex})


async def _tell_streams(appended: Appended) -> None:
    small = sum(len(event.body) for event in appended.events) <= MAX_CHARACTERS
    events = [[e.turn, e.state.value, e.body] for e in appended.events] if small else []
    message = {"seq": appended.head.seq, "answered": appended.head.answered, "events": events}
    await broadcast.publish(broadcast.task_group(appended.head.task_id), message)


def stopped_run(message: dict[str, Any]) -> UUID:
    """Return the run that a message tells its worker to stop."""
    return UUID(message["stopped"])
