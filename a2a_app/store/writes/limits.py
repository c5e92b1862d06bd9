"""Limits: what is done where an owner has nearly as much as it may have, or a place is taken.

Of turns there are no more than places, since the database lets no two have the same. What is stored
is added up in several rows, which seldom keep each other waiting. Far below the limit each message
is stored on the condition that the sum is small enough. Near it, one message is stored after the
other.
"""

from collections.abc import Collection

from django.db import IntegrityError

from a2a_app import conf, models, protocol
from a2a_app.database.deletes import lock_rows
from a2a_app.database.inserts import Row, insert
from a2a_app.models.owners import queue_of
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import TurnLimits
from a2a_app.store.writes import rows
from a2a_app.store.writes.projection import RETRY_SECONDS, Change

# As the databases name what was violated.
_OF_PLACES = ("a2a_run_place", f"{models.Run._meta.db_table}.place")


def find_taken(change: Change, obstacle: Exception) -> Collection[int]:
    """Return the places of the owner's turns that are taken, where one of them was the obstacle.

    Args:
        change: The change that could not be stored.
        obstacle: The error. One of the database's is raised again, unless it is of a place, or the
            conversation of a new task was deleted meanwhile.

    Raises:
        ResourceExhaustedError: All are taken.
    """
    if not isinstance(obstacle, IntegrityError):
        return ()
    if not (change.turns and is_of_place(obstacle)):
        if _has_context(change.before):
            raise obstacle
        return ()
    most = change.turns[0].received.limits
    taken = taken_places(queue_of(change.head.owner, most.queue))
    # Known without a transaction for which others would have to wait.
    if len(taken) >= most.running + most.waiting > most.running:
        raise too_many(most)
    return taken


def _has_context(head: TaskHead) -> bool:
    """Tell whether a task has its conversation, which is deleted once nothing is left in it."""
    if head.seq or head.begins_context:
        return True
    return models.Context.objects.filter(pk=head.context_key).exists()


def too_many(most: TurnLimits) -> protocol.ResourceExhaustedError:
    """Return the error for an owner whose turns all wait that may."""
    return protocol.ResourceExhaustedError(
        f"{most.waiting} of your messages wait for their turn. Send more when some are answered.",
        limit="WAITING_TURNS_PER_OWNER",
        retry_seconds=RETRY_SECONDS,
    )


def is_of_place(error: IntegrityError) -> bool:
    """Tell whether an error says that a place is another turn's."""
    return any(name in str(error) for name in _OF_PLACES)


def taken_places(queue: int) -> Collection[int]:
    """Return the places of the turns of a queue."""
    taken = models.Run.objects.filter(queue=queue, place__isnull=False)
    return {place for (place,) in taken.values_list("place") if place is not None}


def wait_for_others(owner: str) -> None:
    """Wait until all that is being stored of an owner's is counted, and keep the others waiting."""
    if conf.current().stored_bytes_per_owner:
        # Of an owner who has nothing stored there would be no row to lock.
        hold_part(owner, 0)
        parts = models.StoredBytes.objects.filter(owner=owner, part__lt=rows.STORED_PARTS)
        lock_rows(parts, "pk", touch="part")


def hold_part(owner: str, part: int) -> None:
    """Lock a part of what an owner has stored until the transaction ends. It need not be there."""
    _add(rows.stored_bytes(owner, 0, part=part))


def add_usage(owner: str, size: int) -> None:
    """Count so many bytes as stored for an owner, for whose other messages the caller waits."""
    wait_for_others(owner)
    _add(rows.stored_bytes(owner, size))


def _add(row: Row) -> None:
    insert(models.StoredBytes, [row], overwrite=("stored",), unique=("owner", "part"), adds=True)
