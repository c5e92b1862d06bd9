"""TaskHead: what must be known of a task to append to its log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from a2a_app import models, protocol
from a2a_app.database import selects
from a2a_app.database.selects import Select, fetch_with_children
from a2a_app.database.values import new_key


@dataclass(frozen=True, slots=True)
class RunKey:
    """The run in whose name something is written, and the turn that it answers."""

    id: UUID
    turn: int


@dataclass(slots=True)
class TaskHead:
    """A task at one number of its log. `seq` 0 is a task that is not stored yet.

    Only the projection changes one, and only a copy of its own.
    """

    task_id: UUID
    context_key: UUID
    """The primary key of its context's row."""
    context_id: str
    agent: str
    """The slug of its agent."""
    owner: str
    user_id: int | str | None = None
    state: protocol.TaskState = protocol.TaskState.SUBMITTED
    seq: int = 0
    """The number of its newest event."""
    turn: int = 0
    """How many turns it has had, or has yet to do."""
    answered: int = 0
    """The newest turn that is over."""
    run_id: UUID | None = None
    """The run that may write now."""
    asks: bool = False
    """Whether a question of it waits for a decision."""
    pushed: bool = False
    """Whether webhooks may wait for its events."""
    linked: bool = False
    """Whether another task has asked for it, or it for others."""
    stored: int = 0
    """How many bytes its log, its messages and its files have."""
    counted: int = 0
    """How many of these are counted in what its owner has stored."""
    size: int = 0
    """At most so many bytes has the task in JSON."""
    begins_context: bool = False
    """Whether the context is new, and stored with the task."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, int] = field(default_factory=dict)
    """The open artifacts, which may get more chunks: each id with the event that began it."""

    @property
    def is_idle(self) -> bool:
        """Whether no turn is under way or waiting."""
        return self.answered == self.turn

    def check_number(self, wanted: int | None) -> None:
        """Refuse what is for the task at one number, where it has gone on since.

        Args:
            wanted: The number; None: any. A task that is not stored yet has none to differ from.

        Raises:
            TaskGenerationMismatchError: It has another one.
        """
        if wanted is None or self.seq in (0, wanted):
            return
        raise protocol.TaskGenerationMismatchError(
            f"The task has generation {self.seq}, and not {wanted}. Get it, and decide again.",
            task_id=str(self.task_id),
            expected_generation=str(wanted),
            current_generation=str(self.seq),
        )


def new_task_head(
    *,
    agent: str,
    owner: str,
    context_id: str,
    context_key: UUID | None = None,
    user_id: int | str | None = None,
) -> TaskHead:
    """Return the head of a task that is not stored yet.

    It has its id already, so that a stream can listen to the task before it is stored.

    Args:
        agent: The slug of its agent.
        owner: Its owner.
        context_id: The contextId of its conversation.
        context_key: The key of that conversation's row; None: it is new, and stored with the task.
        user_id: The primary key of the Django user whose task it is, if any.
    """
    return TaskHead(
        task_id=new_key(),
        context_key=context_key or new_key(),
        context_id=context_id,
        agent=agent,
        owner=owner,
        user_id=user_id,
        begins_context=context_key is None,
    )


class HeadColumns(NamedTuple):
    """The columns of a task's row that make its head, named as a query names them."""

    pk: UUID
    context: UUID
    context__context_id: str
    agent: str
    owner: str
    user: int | str | None
    state: str
    seq: int
    turn: int
    answered: int
    run: UUID | None
    asks: bool
    pushed: bool
    linked: bool
    stored: int
    counted: int
    size: int
    metadata: dict[str, Any]

    def head(self, open_artifacts: Iterable[Any]) -> TaskHead:
        """Return the head that these columns make, with the rows of `select_open_artifacts`."""
        return TaskHead(
            task_id=self.pk,
            context_key=self.context,
            context_id=self.context__context_id,
            agent=self.agent,
            owner=self.owner,
            user_id=self.user,
            state=protocol.TaskState(self.state),
            seq=self.seq,
            turn=self.turn,
            answered=self.answered,
            run_id=self.run,
            asks=self.asks,
            pushed=self.pushed,
            linked=self.linked,
            stored=self.stored,
            counted=self.counted,
            size=self.size,
            metadata=self.metadata,
            artifacts=dict(open_artifacts),
        )


def read_task_head(task_id: UUID) -> TaskHead:
    """Return a task's head as it is now; raise models.Task.DoesNotExist."""
    head = find_task_head(task_id)
    if head is None:
        raise models.Task.DoesNotExist
    return head


def find_task_head(task_id: UUID, **where: Any) -> TaskHead | None:
    """Return the head of a task; None where there is no task, or it fails the conditions."""
    found = fetch_with_children(
        selects.prepare_select(models.Task, HeadColumns._fields, pk=task_id, **where),
        select_open_artifacts(task_id),
    )
    if found is None:
        return None
    values, [open_artifacts] = found
    return HeadColumns._make(values).head(open_artifacts)


def select_open_artifacts(task_id: UUID) -> Select:
    """Return what reads a task's open artifacts: the id and the first event of each."""
    return selects.prepare_select(
        models.Artifact, ("artifact_id", "first_seq"), task=task_id, last_seq=None
    )
