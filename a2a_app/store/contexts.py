"""Contexts: where conversations begin, and what is said in them outside any task."""

from typing import Any
from uuid import UUID

from a2a_app import models, protocol
from a2a_app.models.keys import new_key
from a2a_app.store import rows, statements
from a2a_app.store.read import Scope


def open_context(scope: Scope, context_id: str) -> UUID:
    """Give the key of the owner's conversation of that contextId, old or new (section 3.4.1)."""
    named: dict[str, Any] = {"agent": scope.agent, "owner": scope.owner, "context_id": context_id}
    known = statements.select_values(models.Context, ("pk",), **named)
    if known:
        key: UUID = known[0][0]
        return key
    context, _ = models.Context.objects.get_or_create(**named)
    return context.pk


def record(scope: Scope, context_id: str, said: list[protocol.Message]) -> None:
    """Keep messages that belong to a conversation but to no task."""
    key = open_context(scope, context_id)
    statements.insert([rows.message(each, key=new_key(), context=key) for each in said])


def new_context_id() -> str:
    """Make a contextId for a client that named none."""
    return str(new_key())


def new_context_key() -> UUID:
    """Make the key of a context that is stored with its first task."""
    return new_key()


def new_task_id() -> UUID:
    """Make a task's id before the task, so that a stream can listen before there is news."""
    return new_key()
