"""The inbox: messages to a task that is worked on, which wait for a turn of their own or are read.

A message waits as any other does, and a turn that reads it takes its turn over (`MessageRead`). So
what is not read begins a turn, whatever becomes of the one before.
"""

from typing import NamedTuple
from uuid import UUID

from django.db.models import Min

from a2a_app import models
from a2a_app.database import selects
from a2a_app.models.run import Outcome
from a2a_app.protocol import Message
from a2a_app.store.reads.columns import MessageRow
from a2a_app.store.reads.tasks import to_message

# How many messages are read at once, which limits the memory that they take.
READ_LIMIT = 16


class Waiting(NamedTuple):
    """A message that waits for its turn."""

    turn: int
    """The number of that turn."""
    message: Message


class ReadEarlier(NamedTuple):
    """A message that an earlier attempt has read."""

    message: Message
    after_step: int
    """How many steps the attempt had come to before."""
    seq: int
    """The event that tells of it."""


def read_waiting(task_id: UUID, context_id: str, *, after: int) -> list[Waiting]:
    """Return the messages that wait for turns after one, the first READ_LIMIT, in order."""
    columns = ("turn", *(f"message__{name}" for name in MessageRow._fields))
    found = selects.select_values(
        models.Run, columns, order_by=("turn",), limit=READ_LIMIT,
        task=task_id, turn__gt=after, worker="", ended_at=None,
    )  # fmt: skip  # as one list
    return [Waiting(turn, _message(row, context_id)) for turn, *row in found]


def read_earlier(task_id: UUID, context_id: str, *, first: int, last: int) -> list[ReadEarlier]:
    """Return the messages that attempts at a turn have read, in the order in which they did.

    Args:
        task_id: The task.
        context_id: The contextId of its conversation.
        first: The number of the turn.
        last: The number under which it goes on.
    """
    columns = ("turn", "read_after", *(f"message__{name}" for name in MessageRow._fields))
    runs = models.Run.objects.filter(task=task_id, turn__gt=first, turn__lte=last)
    read = runs.filter(outcome=Outcome.READ).order_by("turn").values_list(*columns)
    events = models.Event.objects.filter(task=task_id, turn__gt=first, turn__lte=last)
    # Of a turn that was read, the first event tells so.
    told = dict(events.values("turn").annotate(first=Min("seq")).values_list("turn", "first"))
    return [
        ReadEarlier(_message(row, context_id), after_step, told[turn])
        for turn, after_step, *row in read
    ]


def _message(row: list[object], context_id: str) -> Message:
    return to_message(MessageRow._make(row), context_id=context_id)
