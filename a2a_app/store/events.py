"""What comes out of the log: events, ready to be sent, and what an append has added."""

from dataclasses import dataclass
from uuid import UUID

from a2a_app import protocol
from a2a_app.store.claims import Claim
from a2a_app.store.task_head import TaskHead


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered event of a task, its JSON made once and sent as it is by every stream."""

    seq: int
    turn: int
    """The turn it belongs to."""
    state: protocol.TaskState
    """The task's state after it."""
    body: str
    """The StreamResponse (section 3.2.3) as JSON text."""
    artifact_id: str = ""


@dataclass(frozen=True, slots=True)
class Appended:
    """What one append has committed, for those who tell others of it."""

    head: TaskHead
    events: tuple[Event, ...]
    stopped: tuple[tuple[UUID, str], ...] = ()
    """The runs that it ended in other hands: each run and its worker."""
    claim: Claim | None = None
    """The turn that it began in the worker_slot's hands."""
    said: protocol.Message | None = None
    """The client's message that it stored, as it is stored."""
