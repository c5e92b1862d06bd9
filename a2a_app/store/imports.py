"""Imports: tasks that another server has worked on, with a log as if they had been ours."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import F

from a2a_app import database, models, protocol
from a2a_app.database import atomic
from a2a_app.models.owners import Scope
from a2a_app.models.run import Outcome
from a2a_app.protocol import Role, TaskState
from a2a_app.store.task_head import TaskHead, new_task_head, read_task_head
from a2a_app.store.updates import ArtifactUpdate, MessageReceived, StatusUpdate, Update
from a2a_app.store.writes import rows
from a2a_app.store.writes.append import append
from a2a_app.store.writes.attachments import StoredAttachments, with_attachments
from a2a_app.store.writes.contexts import open_context

INTERRUPTED_BY_MOVE = "The task was at work when it was moved to another server. Send it again."


async def import_task(
    scope: Scope, task_id: UUID, task: protocol.Task, at: datetime, user_id: int | str | None
) -> None:
    """Store a task of another server, all of it or nothing, and tell nobody.

    No agent works on it. A task that was at work there has failed, since nothing goes on with it;
    one that waits for its client goes on with the client's next message.

    Args:
        scope: Whose it is, and with which agent.
        task_id: The id that it gets.
        task: The task.
        at: When it got its status.
        user_id: The primary key of the Django user whose task it is, if any.

    Raises:
        ResourceExhaustedError: The owner may not store so much.
        ValueError: It has no message of a client.
    """
    updates = _updates(task)
    async with StoredAttachments(updates, owner=scope.owner, task_id=task_id) as stored:
        await database.run(
            _write, scope, task_id, task.context_id, with_attachments(stored), at, user_id
        )


def _updates(task: protocol.Task) -> list[Update]:
    """Return what makes the task: its messages in their order, its artifacts, its status."""
    said = task.status.message
    ids = {"task_id": task.id, "context_id": task.context_id}
    history = [each for each in task.history if said is None or each.message_id != said.message_id]
    if not any(each.role is Role.USER for each in history):
        raise ValueError("has no message of a client")
    updates: list[Update] = [
        MessageReceived(each) if each.role is Role.USER else StatusUpdate(TaskState.WORKING, each)
        for each in history
    ]
    updates += [ArtifactUpdate(each, last_chunk=True) for each in task.artifacts]
    state = task.status.state
    if not (state.is_terminal or state.is_interrupted):
        state = TaskState.FAILED
        said = protocol.Message(
            message_id=f"{task.id}-moved",
            role=Role.AGENT,
            parts=[protocol.Part(text=INTERRUPTED_BY_MOVE)],
            **ids,
        )
    return [*updates, StatusUpdate(state, said, task.metadata)]


def _write(
    scope: Scope,
    task_id: UUID,
    context_id: str,
    updates: Sequence[Update],
    at: datetime,
    user_id: int | str | None,
) -> None:
    with atomic():
        head = new_task_head(
            agent=scope.agent,
            owner=scope.owner,
            context_id=context_id,
            context_key=open_context(scope, context_id),
            user_id=user_id,
        )
        head.task_id = task_id
        first = next(i for i, each in enumerate(updates) if isinstance(each, MessageReceived))
        # A log begins with a message of the client, and has one turn after the other.
        ordered = [updates[first], *updates[:first], *updates[first + 1 :]]
        for update in ordered:
            head = append(head, [update], now=at).head
            if isinstance(update, MessageReceived):
                head = _without_turn(head)


def _without_turn(head: TaskHead) -> TaskHead:
    """End the turn that a message has begun: it was answered where the task comes from."""
    ended = rows.run_end(Outcome.YIELDED)
    models.Run.objects.filter(task=head.task_id, ended_at=None).update(**ended)
    models.Task.objects.filter(pk=head.task_id).update(answered=F("turn"), run=None)
    return read_task_head(head.task_id)
