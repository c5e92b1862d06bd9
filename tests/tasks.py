"""Tasks made through the store, for tests of the rooms below the operations."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Model

from a2a_app.concurrency.shares import Shares
from a2a_app.database.inserts import Row
from a2a_app.database.values import new_key
from a2a_app.models.owners import Scope
from a2a_app.protocol import Artifact, Message, Part, Role, TaskState
from a2a_app.store import runs
from a2a_app.store.claims import Claim, WorkerSlot
from a2a_app.store.events import Appended
from a2a_app.store.task_head import new_task_head
from a2a_app.store.updates import ArtifactUpdate, MessageReceived, StatusUpdate
from a2a_app.store.waiting import find_waiting
from a2a_app.store.writes.append import append
from a2a_app.store.writes.contexts import open_context

SCOPE = Scope("load", "")
LEASE = timedelta(seconds=30)


def new_message(text: str = "hello", role: Role = Role.USER, **more: Any) -> Message:
    return Message(message_id=str(uuid4()), role=role, parts=[Part(text=text)], **more)


def status(state: TaskState, text: str = "", **more: Any) -> StatusUpdate:
    return StatusUpdate(state, new_message(text, Role.AGENT) if text else None, **more)


def chunk(text: str, *, key: str = "a", append: bool = True, last: bool = False) -> ArtifactUpdate:
    artifact = Artifact(artifact_id=key, parts=[Part(text=text)])
    return ArtifactUpdate(artifact, append=append, last_chunk=last)


def columns(row: Model) -> Row:
    """Return a model's columns, as rows are inserted."""
    return {field.attname: _value(row, field) for field in row._meta.concrete_fields}


def _value(row: Model, field: Any) -> Any:
    value = getattr(row, field.attname)
    # `pre_save` sets a time in the model too, when a row is saved for the first time.
    return field.pre_save(row, True) if value is None and row._state.adding else value


def begin(
    text: str = "hello",
    *,
    message: Message | None = None,
    scope: Scope = SCOPE,
    context_id: str = "",
    user_id: int | None = None,
    received: MessageReceived | None = None,
    **options: Any,
) -> Appended:
    """Store a new task with its first message."""
    context_id = context_id or str(new_key())
    head = new_task_head(
        agent=scope.agent,
        owner=scope.owner,
        context_id=context_id,
        context_key=open_context(scope, context_id),
        user_id=user_id,
    )
    received = received or MessageReceived(message or new_message(text))
    return append(head, [received], **options)


def waiting(agent: str) -> list[UUID]:
    """Return an agent's tasks with a turn that nobody has begun, the oldest first."""
    found = find_waiting(agents=[agent], limit=10, room=Shares(20))
    return [turn.task_id for turn in found.turns]


def claim_of(task_id: UUID, worker: str = "one") -> Claim | None:
    """Claim a task's next turn, for a worker that has its agent."""
    return runs.claim(task_id, WorkerSlot(worker, LEASE), agents=[SCOPE.agent])


def begin_and_claim(worker: str = "one", **more: Any) -> Claim:
    """Store a new task and claim its turn, which the worker then has."""
    claim = claim_of(begin(**more).head.task_id, worker)
    assert claim is not None
    return claim
