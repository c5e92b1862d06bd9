"""Events: what the log is made of, ready to be sent, and what an append has added to it.

An event is serialized once, when it is written. Its JSON is stored, broadcast and streamed as it
is.
"""

from dataclasses import dataclass
from uuid import UUID

from a2a_app import protocol
from a2a_app.store.claims import Claim
from a2a_app.store.durable.wake import Woken
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import Ask, Resolution


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered event of a task (section 3.2.3)."""

    seq: int
    turn: int
    """The number of the turn that it belongs to."""
    state: protocol.TaskState
    """The task's state after it."""
    body: str
    """The StreamResponse, as JSON of version 1.0."""
    artifact_id: str = ""
    """The artifact whose chunk it is; empty: it is a change of status."""


class LargeReadError(Exception):
    """What was to be read has more bytes than its reader takes without room for them."""

    def __init__(self, size: int) -> None:
        """Make the error; `size` is at least as large as what was to be read."""
        super().__init__(f"There are {size} bytes.")
        self.size = size


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader of a task's log stands."""

    task_id: UUID
    seq: int
    """The number of the last event that was read; 0: none was."""
    turn: int
    """The turn of that event."""
    state: protocol.TaskState
    """The state after that event."""
    newest: int
    """The newest number of the log when this was read."""
    answered: int
    """The newest turn that was over when this was read."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What one append has committed."""

    head: TaskHead
    events: tuple[Event, ...]
    position: Position
    """The position after the events, from which a stream goes on."""
    state_before: protocol.TaskState | None = None
    """The task's state before the events; None: it is new."""
    stopped: tuple[tuple[UUID, str], ...] = ()
    """The runs of others that it ended: each run and its worker."""
    claim: Claim | None = None
    """The claim of the turn that it began, where a worker slot was there for it."""
    said: protocol.Message | None = None
    """The client's message, as it is stored."""
    woken: tuple[Woken, ...] = ()
    """The runs of other tasks that it has woken."""
    asked: Ask | None = None
    """The question that is open since then."""
    resolution: Resolution | None = None
    """What became of the question that was open before."""
