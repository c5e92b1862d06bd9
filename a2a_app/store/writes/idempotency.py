"""Idempotency: messages that must not be taken twice, and what they led to (section 3.3.1)."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from a2a_app import conf, models, protocol
from a2a_app.models.owners import Scope
from a2a_app.store.reads.tasks import to_message
from a2a_app.store.refusals import AlreadySentError, OtherContentError
from a2a_app.store.updates import MessageKey

# Each message with a key adds one row and deletes so many old ones, so that the table stays small.
PRUNE_LIMIT = 2


@dataclass(frozen=True, slots=True)
class EarlierSend:
    """What an earlier message has led to: a turn of a task, or an answer without a task."""

    task_id: UUID | None
    turn: int
    answer: protocol.Message | None


def find_earlier_send(scope: Scope, key: MessageKey) -> EarlierSend | None:
    """Return what the first message under a key has led to; None: there was none, or long ago.

    Not for use in a transaction.

    Raises:
        OtherContentError: The earlier message was another one.
    """
    _prune()
    mine = models.IdempotencyKey.objects.filter(agent=scope.agent, owner=scope.owner, key=key.name)
    found = mine.select_related("message__context").first()
    if found is None:
        return None
    if found.expires_at <= timezone.now():
        found.delete()
        return None
    if found.digest != key.digest:
        raise OtherContentError(key.name)
    if found.message is None:
        return EarlierSend(found.task_id, found.turn, None)
    context_id = found.message.context.context_id
    return EarlierSend(None, 0, to_message(found.message, context_id=context_id))


def remember_message(
    scope: Scope,
    key: MessageKey,
    *,
    task: UUID | None = None,
    turn: int = 0,
    answer: UUID | None = None,
) -> None:
    """Store what a message has led to, in the transaction that stores the message.

    Args:
        scope: The caller's.
        key: The message's key.
        task: The task; None: it was answered without one.
        turn: The message's turn of the task.
        answer: The key of the answer without a task.

    Raises:
        AlreadySentError: Another request was quicker. The transaction has to be given up.
    """
    until = timezone.now() + timedelta(seconds=conf.current().idempotency_seconds)
    try:
        models.IdempotencyKey.objects.create(
            agent=scope.agent,
            owner=scope.owner,
            key=key.name,
            digest=key.digest,
            task_id=task,
            turn=turn,
            message_id=answer,
            expires_at=until,
        )
    except IntegrityError:
        raise AlreadySentError(key.name) from None


def _prune() -> None:
    """Delete some rows that have expired.

    Each by a statement of its own, so that two processes that do so never wait for one another.
    """
    old = models.IdempotencyKey.objects.filter(expires_at__lte=timezone.now())
    for row in old.order_by("expires_at")[:PRUNE_LIMIT]:
        row.delete()
