"""Rows: a change of a task in terms of tables."""

import random
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from a2a_app import conf, models, protocol
from a2a_app.database import statements
from a2a_app.database.inserts import Row
from a2a_app.database.statements import Write
from a2a_app.database.transactions import connection
from a2a_app.database.values import escape_unstorable, from_now, new_key
from a2a_app.models.owners import caller_of, queue_of
from a2a_app.models.run import OUTCOMES, Outcome
from a2a_app.store.claims import CredentialColumns, WorkerSlot
from a2a_app.store.reads.replay import assemble, logged_chunks
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import TurnLimits
from a2a_app.store.writes.projection import Change

ARTIFACT_FIELDS = (
    "name", "description", "parts", "metadata", "extensions", "first_seq", "last_seq",
)  # fmt: skip  # as one list: what an artifact that begins again overwrites

# The parts into which what an owner has stored is divided.
STORED_PARTS = 16
# The part after them stores nothing. Whoever holds it configures webhooks alone.
WEBHOOKS_PART = STORED_PARTS
# The turns that wait have the places from here on, and those that are worked on the ones before.
FIRST_WAITING = 1_000_000_000
# As many messages of the largest size may be stored at the very same moment, and yet none of them
# is too many.
AT_ONCE = 16


def task_changes(change: Change) -> dict[str, Any]:
    """Return the columns of the task's row that the change sets."""
    head = head_after(change)
    columns: dict[str, Any] = {"seq": head.seq, "size": head.size, "stored": head.stored}
    if counts(change):
        columns["counted"] = head.stored
    if change.turns:
        columns |= {"turn": head.turn, "pushed": head.pushed, "linked": head.linked}
    if change.ends_run:
        columns |= {"answered": head.answered, "run": None}
    if change.moves_turns:
        columns |= {"asks": head.asks, "answered": head.answered, "turn": head.turn}
    if change.status_changed:
        columns |= {"state": head.state.value, "status_at": change.at}
        columns["status_message"] = change.status_message
        if head.metadata is not change.before.metadata:
            columns["metadata"] = dict(head.metadata)
    return columns


def head_after(change: Change) -> TaskHead:
    """Return the head once the change is stored: a run that is over no longer holds the task."""
    head = change.head
    counted = head.stored if counts(change) else head.counted
    if change.ends_task:
        return replace(head, answered=head.turn, run_id=None, counted=counted)
    if change.returned and change.run is not None:
        return replace(head, answered=change.run.turn, run_id=None, counted=counted)
    if change.asked is not None:
        return replace(head, run_id=None, counted=counted)
    head.counted = counted
    return head


def task(change: Change, run: UUID | None) -> Row:
    """Return the row of a new task, held by a run or by none."""
    head = change.head
    return {
        "id": head.task_id,
        "context_id": head.context_key,
        "agent": head.agent,
        "owner": head.owner,
        "user_id": head.user_id,
        "state": head.state.value,
        "status_at": change.at,
        "status_message_id": None,
        "metadata": dict(head.metadata),
        "seq": head.seq,
        "turn": head.turn,
        "answered": head.answered,
        "run_id": run,
        "asks": False,
        "pushed": head.pushed,
        "linked": head.linked,
        "stored": head.stored,
        "counted": head.stored,
        "size": head.size,
        "created_at": change.at,
    }


def events(change: Change) -> list[Row]:
    """Return the rows of the log."""
    return [
        {
            "task_id": change.head.task_id,
            "seq": event.seq,
            "turn": event.turn,
            "state": event.state.value,
            "artifact_id": event.artifact_id,
            "body": event.body,
            "created_at": change.at,
        }
        for event in change.events
    ]


def messages(change: Change) -> list[Row]:
    """Return the rows of the messages that came with the change."""
    context, task_id, at = change.head.context_key, change.head.task_id, change.at
    return [
        message(new.message, key=new.key, context=context, task=task_id, seq=new.seq, at=at)
        for new in change.messages
    ]


def message(
    said: protocol.Message,
    *,
    key: UUID,
    context: UUID,
    at: datetime,
    task: UUID | None = None,
    seq: int = 0,
) -> Row:
    """Return the row of one message."""
    return {
        "id": key,
        "context_id": context,
        "task_id": task,
        "seq": seq,
        "message_id": said.message_id,
        "role": said.role.value,
        "parts": [part.to_dict() for part in said.parts],
        "metadata": said.metadata,
        "extensions": said.extensions,
        "reference_task_ids": said.reference_task_ids,
        "created_at": at,
    }


def context(change: Change) -> Row:
    """Return the row of the conversation that a new task begins."""
    head = change.head
    return {
        "id": head.context_key,
        "context_id": head.context_id,
        "agent": head.agent,
        "owner": head.owner,
        "caller": caller_of(head.owner),
        "state": {},
        "version": 0,
        "stored": 0,
        "created_at": change.at,
    }


def counts(change: Change) -> bool:
    """Tell whether what the task has stored is to be counted: when a message comes, or is answered.

    What an agent says meanwhile counts later, so that each chunk costs as little as it can.
    """
    return bool(change.turns) or change.ends_run


def stored_bytes(owner: str, size: int, *, part: int | None = None) -> Row:
    """Return the row that adds to what an owner has stored, by `insert(…, adds=True)`.

    Args:
        owner: The owner.
        size: How many bytes are added.
        part: To which part; None: to one of them at random.
    """
    if part is None:
        part = random.randrange(STORED_PARTS)  # noqa: S311  # no secret
    return {
        "id": new_key(),
        "owner": owner,
        "caller": caller_of(owner),
        "part": part,
        "stored": size,
        "refused_by": "",
        "refused_at": None,
    }


def is_far_from_full(owner: str, size: int) -> Write | None:
    """Return the condition that an owner has so little stored that nobody need be waited for.

    None: there is no limit.
    """
    current = conf.current()
    if not current.stored_bytes_per_owner:
        return None
    most = current.stored_bytes_per_owner - AT_ONCE * current.max_body_bytes - size
    return Write(f"({stored_by()}) <= %s", [owner, most])


def check_stored(owner: str) -> None:
    """Check what an owner has stored, with what this transaction adds.

    Raises:
        StorageExhaustedError: It is more than it may have. The transaction has to be given up.
    """
    most = conf.current().stored_bytes_per_owner
    if not most:
        return
    with connection().cursor() as cursor:
        cursor.execute(stored_by(), [owner])
        [stored] = cursor.fetchone()
    if stored > most:
        raise protocol.StorageExhaustedError(
            f"You may have {most} bytes stored, and have too many already, or would have with "
            "this message. Tasks have to be deleted first.",
            limit="STORED_BYTES_PER_OWNER",
        )


def stored_by() -> str:
    """Return the query of what an owner has stored, whose one parameter is the owner."""
    quote = connection().ops.quote_name
    table = quote(models.StoredBytes._meta.db_table)
    return f"SELECT COALESCE(SUM({table}.stored), 0) FROM {table} WHERE {table}.owner = %s"  # noqa: S608  # a model's name


def place_of(limits: TurnLimits, *, runs: bool, taken: Collection[int] = ()) -> int | None:
    """Return a place for a turn that no other turn seems to have; None: it needs none.

    A place is chosen at random. The few that are taken by somebody else are found by the database.

    Args:
        limits: How many turns there may be.
        runs: Whether the turn is worked on at once; else it waits.
        taken: Places that are known to be taken.

    Raises:
        LookupError: All are taken.
    """
    most, first = (limits.running, 0) if runs else (limits.waiting, FIRST_WAITING)
    if not most:
        return None
    if not taken:
        return first + random.randrange(most)  # noqa: S311  # no secret
    free = [place for place in range(first, first + most) if place not in taken]
    if not free:
        raise LookupError
    return random.choice(free)  # noqa: S311  # no secret


def runs(change: Change, worker_slot: WorkerSlot | None = None) -> list[Row]:
    """Return the rows of the turns to do, which are stored with the message (R6).

    Args:
        change: The change.
        worker_slot: The slot that takes the one turn that there is.

    Raises:
        LookupError: The owner has as many such turns as it may have.
    """
    if change.resolution is not None:
        return []  # the run is there already, which has waited for it
    runs, taken = worker_slot is not None, change.taken_places
    return [
        {
            "id": new_key(),
            "task_id": change.head.task_id,
            "message_id": turn.message_key,
            "turn": turn.number,
            "attempt": 1,
            "revision": turn.received.revision if worker_slot else "",
            "metadata": turn.received.metadata,
            "accepted_output_modes": list(turn.received.accepted_output_modes),
            "extensions": list(turn.received.extensions),
            "queue": queue_of(change.head.owner, turn.received.limits.queue),
            "place": place_of(turn.received.limits, runs=runs, taken=taken),
            **CredentialColumns.of(turn.received.credentials)._asdict(),
            "trace": turn.received.trace,
            "worker": worker_slot.worker if worker_slot else "",
            "lease_until": from_now(worker_slot.lease) if worker_slot else timezone.now(),
            "outcome": "",
            "error": "",
            "created_at": change.at,
            "started_at": worker_slot.at if worker_slot else None,
            "ended_at": None,
        }
        for turn in change.turns
    ]


def run_end(outcome: Outcome, error: str = "") -> dict[str, Any]:
    """Return the columns of a run's row that its end sets."""
    # What an agent raised may be any text. If it could not be stored, the run would have no end.
    return {
        "ended_at": timezone.now(),
        "place": None,
        "lease_until": None,
        "outcome": outcome.value,
        "error": escape_unstorable(error),
        "handed_on": "",
    }


def end_of_run(change: Change) -> dict[str, Any]:
    """Return the columns of the run that a change ends."""
    if change.asked is None:
        return run_end(OUTCOMES.get(change.head.state, Outcome.YIELDED), change.error)
    values = run_end(Outcome.ASKED)
    del values["handed_on"]  # the run that goes on after the decision has it
    return values


def artifact(change: Change, artifact_id: str) -> Row:
    """Return the row of an artifact that begins in this change, closed or open."""
    changed = change.artifacts[artifact_id]
    closed = changed.last_seq is not None
    # The parts of an open artifact are in the log, and reads assemble them.
    chunks = changed.chunks if closed else changed.chunks[:1]
    columns = assemble([chunk.to_dict() for chunk in chunks])
    return {
        "id": new_key(),
        "task_id": change.head.task_id,
        "artifact_id": artifact_id,
        **columns,
        "parts": columns["parts"] if closed else [],
        "first_seq": changed.first_seq,
        "last_seq": changed.last_seq,
    }


def close_artifact(change: Change, artifact_id: str) -> None:
    """Write the parts of an artifact that began earlier, from the log with this change's events."""
    changed = change.artifacts[artifact_id]
    task_id, last = change.head.task_id, change.head.seq
    columns = assemble(logged_chunks(task_id, artifact_id, changed.first_seq, last))
    values = {"last_seq": changed.last_seq, **columns}
    statements.update(models.Artifact, values, task=task_id, artifact_id=artifact_id)
