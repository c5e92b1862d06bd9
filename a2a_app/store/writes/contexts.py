"""Contexts: the beginning of conversations, and messages in them that belong to no task."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F
from django.utils import timezone

from a2a_app import models, protocol
from a2a_app.database import atomic, selects
from a2a_app.database.inserts import insert
from a2a_app.database.values import byte_length, new_key
from a2a_app.files.rows import attach_files
from a2a_app.models.owners import Scope, caller_of
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import MessageKey
from a2a_app.store.writes import limits, rows
from a2a_app.store.writes.idempotency import remember_message
from a2a_app.store.writes.projection import EVENT_BYTES


def open_context(scope: Scope, context_id: str) -> UUID:
    """Return the key of the owner's conversation of a contextId, old or new (section 3.4.1)."""
    named: dict[str, Any] = {"agent": scope.agent, "owner": scope.owner, "context_id": context_id}
    known = selects.select_values(models.Context, ("pk",), **named)
    if not known:
        with suppress(IntegrityError), atomic():  # another request may be quicker
            return models.Context.objects.create(**named, caller=caller_of(scope.owner)).pk
        known = selects.select_values(models.Context, ("pk",), **named)
    key: UUID = known[0][0]
    return key


def in_open_context(head: TaskHead) -> TaskHead:
    """Return the head of a new task, whose conversation may have been deleted since it was read."""
    if head.begins_context:
        return head
    return replace(head, context_key=open_context(Scope(head.agent, head.owner), head.context_id))


def record(
    scope: Scope,
    context_id: str,
    message: protocol.Message,
    answer: protocol.Message,
    key: MessageKey | None = None,
    files: Collection[UUID] = (),
    files_size: int = 0,
) -> None:
    """Store a message and its answer, which belong to a conversation but to no task.

    Args:
        scope: The caller's.
        context_id: The conversation.
        message: The client's message.
        answer: The agent's.
        key: The message's key, if it has one.
        files: The files that are attached to both.
        files_size: How many bytes they have.

    Raises:
        AlreadySentError: Another request was quicker to answer the message of this key.
        StorageExhaustedError: The owner has too much stored.
    """
    context = open_context(scope, context_id)
    said, at = (message, answer), timezone.now()
    size = files_size + sum(EVENT_BYTES + byte_length(each.to_json()) for each in said)
    with atomic():
        # It may have been deleted since, as one in which nothing is left.
        while not models.Context.objects.filter(pk=context).update(stored=F("stored") + size):
            context = open_context(scope, context_id)
        limits.add_usage(scope.owner, size)
        rows.check_stored(scope.owner)
        both = [rows.message(each, key=new_key(), context=context, at=at) for each in said]
        insert(models.Message, both)
        if files:
            attach_files(files, context=context)
        if key is not None:
            remember_message(scope, key, answer=both[1]["id"])
