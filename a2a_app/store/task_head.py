"""Head: what must be known of a task to append to its log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.database.selects import Select, fetch_with_children


@dataclass(frozen=True, slots=True)
class RunKey:
    """The run in whose name something is written, and the turn it answers."""

    id: UUID
    turn: int


@dataclass(frozen=True, slots=True)
class TaskHead:
    """A task at one number of its log. `seq` 0 is a task that is not stored yet."""

    task_id: UUID
    context_key: UUID
    context_id: str
    agent: str
    owner: str
    user_id: int | str | None = None
    state: protocol.TaskState = protocol.TaskState.SUBMITTED
    seq: int = 0
    turn: int = 0
    answered: int = 0
    run_id: UUID | None = None
    pushed: bool = False
    begins_context: bool = False
    """Whether the context is new, and stored with the task."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, int] = field(default_factory=dict)
    """The open artifacts, which may get more chunks: each id with the event that began it."""

    @property
    def is_idle(self) -> bool:
        """Whether no turn is under way or waiting."""
        return self.answered == self.turn


FIELDS = (
    "pk", "context", "context__context_id", "agent", "owner", "user",
    "state", "seq", "turn", "answered", "run", "pushed", "metadata",
)  # fmt: skip  # who it is, and where it stands
"""What is read of a task for its head, by the names of its row."""


def read_task_head(task_id: UUID) -> TaskHead:
    """Read a task's head as it is now; raises models.Task.DoesNotExist."""
    found = find_task_head(task_id)
    if found is None:
        raise models.Task.DoesNotExist
    return found


def find_task_head(task_id: UUID, **where: Any) -> TaskHead | None:
    """Read the head of a task, if there is one and it meets the conditions."""
    found = fetch_with_children(
        selects.prepare_select(models.Task, FIELDS, pk=task_id, **where), open_artifacts(task_id)
    )
    return None if found is None else make_task_head(found[0], found[1][0])


def open_artifacts(task_id: UUID) -> Select:
    """Give what reads a task's open artifacts, for `make_head`."""
    return selects.prepare_select(
        models.Artifact, ("artifact_id", "first_seq"), task=task_id, last_seq=None
    )


def make_task_head(values: Sequence[Any], still_open: Iterable[Any]) -> TaskHead:
    """Make a head of a task's FIELDS and its open artifacts."""
    task_id, context_key, context_id, agent, owner, user_id, *rest = values
    state, seq, turn, answered, run_id, pushed, metadata = rest
    return TaskHead(
        task_id=task_id,
        context_key=context_key,
        context_id=context_id,
        agent=agent,
        owner=owner,
        user_id=user_id,
        state=protocol.TaskState(state),
        seq=seq,
        turn=turn,
        answered=answered,
        run_id=run_id,
        pushed=pushed,
        metadata=metadata,
        artifacts=dict(still_open),
    )
