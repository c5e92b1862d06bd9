"""News: an append told to whoever listens, after its commit (R2)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from a2a_app import live, protocol
from a2a_app.store.log import Event, Flush

# Above this many characters a message carries the numbers only, and each process reads the log once
# for all its streams: channel layers are made for small messages.
MAX_CHARACTERS = 128 * 1024


@dataclass(frozen=True, slots=True)
class News:
    """What a task's group hears: its newest number, the newest turn over, and events if small."""

    seq: int
    answered: int
    events: tuple[Event, ...]

    @classmethod
    def parse(cls, message: dict[str, Any]) -> "News":
        """Read a group's message."""
        first = message["seq"] - len(message["events"]) + 1
        events = tuple(
            Event(first + place, turn, protocol.TaskState(state), body)
            for place, (turn, state, body) in enumerate(message["events"])
        )
        return cls(message["seq"], message["answered"], events)


async def tell(flush: Flush) -> None:
    """Tell the task's streams what was committed, and the workers of runs that it stopped."""
    head = flush.head
    # What begins a task is no news: who knows the task, knows it from that commit or a later one.
    if head.seq > len(flush.events):
        await _tell_streams(flush)
    if head.pushed:
        await live.publish(live.PUSH_GROUP, {})
    for run_id, worker in flush.stopped:
        await live.publish(live.worker_group(worker), {"stopped": run_id.hex})


async def _tell_streams(flush: Flush) -> None:
    small = sum(len(event.body) for event in flush.events) <= MAX_CHARACTERS
    events = [[e.turn, e.state.value, e.body] for e in flush.events] if small else []
    news = {"seq": flush.head.seq, "answered": flush.head.answered, "events": events}
    await live.publish(live.task_group(flush.head.task_id), news)


def stopped_run(message: dict[str, Any]) -> UUID:
    """Read which run a worker is told to stop."""
    return UUID(message["stopped"])
