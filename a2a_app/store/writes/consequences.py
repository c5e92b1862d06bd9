"""Consequences: what some changes of a task need besides their rows, in the same transaction."""

from uuid import UUID

from a2a_app import models, protocol
from a2a_app.database.batch import Batch
from a2a_app.models.owners import Scope
from a2a_app.models.run import Outcome
from a2a_app.store.webhooks import put_webhook
from a2a_app.store.writes import rows
from a2a_app.store.writes.idempotency import remember_message
from a2a_app.store.writes.projection import Change

OUTCOMES = {
    protocol.TaskState.COMPLETED: Outcome.COMPLETED,
    protocol.TaskState.FAILED: Outcome.FAILED,
    protocol.TaskState.CANCELED: Outcome.CANCELED,
    protocol.TaskState.REJECTED: Outcome.REJECTED,
}


def close_artifacts(change: Change) -> None:
    """Write the artifacts that end with a change and began before it."""
    for key in change.closing_artifacts:
        rows.close_artifact(change, key)


def remember_messages(change: Change) -> None:
    """Store the keys of messages, so that none is taken twice; raise AlreadySentError."""
    scope = Scope(change.head.agent, change.head.owner)
    for turn in change.turns:
        if (key := turn.received.key) is not None:
            remember_message(scope, key, task=change.head.task_id, turn=turn.number)


def put_webhooks(change: Change) -> None:
    """Store the webhooks that came with messages; raise what `put_webhook` raises."""
    for turn in change.turns:
        if (webhook := turn.received.webhook) is not None:
            head = change.head
            put_webhook(head.task_id, webhook, owner=head.owner, after=head.seq)


def end_others(change: Change, stopped: list[tuple[UUID, str]]) -> None:
    """End with the task every run that it still has; add to `stopped` those that are worked on."""
    left = models.Run.objects.filter(task=change.head.task_id, ended_at=None)
    batch = Batch()
    for key, worker in left.values_list("pk", "worker"):
        outcome = OUTCOMES[change.head.state] if worker else Outcome.DROPPED
        error = change.error if worker else ""
        batch.update(models.Run, rows.run_end(outcome, error), pk=key)
        if worker:
            stopped.append((key, worker))
    batch.run()
