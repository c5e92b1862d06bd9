"""Head: what must be known of a task to append to its log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from a2a_app import models, protocol
from a2a_app.store import statements


@dataclass(frozen=True, slots=True)
class RunKey:
    """The run in whose name something is written, and the turn it answers."""

    id: UUID
    turn: int


@dataclass(frozen=True, slots=True)
class Head:
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


def read_head(task_id: UUID) -> Head:
    """Read a task's head as it is now; raises models.Task.DoesNotExist."""
    found = statements.select(models.Task, related=("context",), pk=task_id)
    if not found:
        raise models.Task.DoesNotExist
    return head_of(found[0])


def head_of(task: models.Task) -> Head:
    """Make the head of a row (with its context) that was just read."""
    still_open = statements.select_values(
        models.Artifact, ("artifact_id", "first_seq"), task=task.pk, last_seq=None
    )
    return Head(
        task_id=task.pk,
        context_key=task.context_id,
        context_id=task.context.context_id,
        agent=task.agent,
        owner=task.owner,
        user_id=task.user_id,
        state=protocol.TaskState(task.state),
        seq=task.seq,
        turn=task.turn,
        answered=task.answered,
        run_id=task.run_id,
        pushed=task.pushed,
        metadata=task.metadata,
        artifacts=dict(still_open),
    )
