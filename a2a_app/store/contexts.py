"""Contexts: where conversations begin, and what is said in them outside any task."""

from uuid import UUID

from a2a_app import models, protocol
from a2a_app.models.keys import new_key
from a2a_app.store import rows
from a2a_app.store.database import atomic
from a2a_app.store.read import Scope
from a2a_app.store.sendings import keep_sending
from a2a_app.store.updates import SendingKey


def open_context(scope: Scope, context_id: str) -> models.Context:
    """Give the owner's conversation of that contextId, an old one or a new (section 3.4.1)."""
    context, _ = models.Context.objects.get_or_create(
        agent=scope.agent, owner=scope.owner, context_id=context_id
    )
    return context


def record(
    scope: Scope,
    context_id: str,
    message: protocol.Message,
    answer: protocol.Message,
    key: SendingKey | None = None,
) -> None:
    """Keep a message and its answer, which belong to a conversation but to no task.

    Raises AlreadySentError where another was quicker to answer the message of this key.
    """
    context = open_context(scope, context_id)
    with atomic():
        _, said = models.Message.objects.bulk_create(
            [rows.message(each, key=new_key(), context=context.pk) for each in (message, answer)]
        )
        if key is not None:
            keep_sending(scope, key, answer=said.pk)


def new_context_id() -> str:
    """Make a contextId for a client that named none."""
    return str(new_key())


def new_task_id() -> UUID:
    """Make a task's id before the task, so that a stream can listen before there is news."""
    return new_key()
