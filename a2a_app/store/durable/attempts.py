"""Attempts: what those at a turn before the present one have said, asked, used and recorded.

An attempt after the first reads it when it begins. So it is one unit of work, of few statements.
"""

from typing import Any, NamedTuple
from uuid import UUID

from a2a_app import models
from a2a_app.database import selects
from a2a_app.database.selects import Select, fetch_with_children, prepare_select
from a2a_app.protocol import Role
from a2a_app.store.durable.approvals import Told, read_decided
from a2a_app.store.durable.steps import Recorded, read_steps
from a2a_app.store.token_usage import usage_metadata
from a2a_app.store.writes.repetition import Repetition


class Beginning(NamedTuple):
    """How the turn of a run has begun, and of what kind there is more."""

    turn: int
    """The number of the turn in which the message came that the run answers."""
    last: int
    """The last number under which it has gone on: after a question, or a message that it read."""
    received: frozenset[int]
    """The events that tell of a client's message, and not of what the agent says."""
    has_asked: bool
    """Whether a turn of the task has."""
    has_used: bool
    """Whether something of a model was used for the task."""


class Before(NamedTuple):
    """What the attempts before a run have led to."""

    told: Told
    usage: dict[str, Any]
    """The metadata that tells of what was used."""
    said: Repetition | None
    """None: it does not count."""
    recorded: Recorded | None
    """None: it was not asked for."""


def read_before(task_id: UUID, run_id: UUID, *, is_durable: bool) -> Before:
    """Return what the attempts before a run have led to.

    Args:
        task_id: The task.
        run_id: The run.
        is_durable: Whether its agent is, for which it counts what was said.
    """
    beginning = read_beginning(task_id, run_id)
    decided = read_decided(task_id, beginning.turn) if beginning.has_asked else []
    return Before(
        Told(beginning.turn, decided),
        usage_metadata(task_id) if beginning.has_used else {},
        Repetition.of(said_events(task_id, beginning)) if is_durable else None,
        read_steps(task_id, beginning.turn) if is_durable else None,
    )


def read_beginning(task_id: UUID, run_id: UUID) -> Beginning:
    """Return how the turn of a run has begun."""
    first = prepare_select(
        models.Run,
        ("turn", "task__answered"),
        order_by=("turn",),
        limit=1,
        task=task_id,
        message__runs__pk=run_id,
    )
    received = prepare_select(models.Message, ("seq",), task=task_id, role=Role.USER.value)
    found = fetch_with_children(
        first, received, _any_of(models.Approval, task_id), _any_of(models.TokenUsage, task_id)
    )
    assert found is not None  # a run is one of its own message
    (turn, answered), (messages, approvals, used) = found
    numbers = frozenset(seq for (seq,) in messages)
    return Beginning(turn, answered + 1, numbers, bool(approvals), bool(used))


def said_events(task_id: UUID, beginning: Beginning) -> list[tuple[int, str]]:
    """Return the number and the body of each event of what a turn has said, in order."""
    numbers = {"turn__gte": beginning.turn, "turn__lte": beginning.last}
    events = selects.select_values(
        models.Event, ("seq", "body"), order_by=("seq",), task=task_id, **numbers
    )
    return [(seq, body) for seq, body in events if seq not in beginning.received]


def _any_of(model: type[models.Approval | models.TokenUsage], task_id: UUID) -> Select:
    return prepare_select(model, ("pk",), limit=1, task=task_id)
