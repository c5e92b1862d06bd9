"""Approvals: which questions are open, which are overdue, and what a turn was told before."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models.functions import Now

from a2a_app import models
from a2a_app.database import selects
from a2a_app.models.approval import Ending
from a2a_app.store.refusals import DecidedError
from a2a_app.store.task_head import TaskHead, find_task_head
from a2a_app.store.updates import Resolution

APPROVALS = "urn:a2a-app:approvals:v1"
"""Under this name messages and metadata have what docs/extensions/approvals.md says."""

PASSED_ON = "urn:a2a-app:passed-on:v1"
"""Under this name the metadata of a question says which other agent asks it, and of which task."""


class Earlier(NamedTuple):
    """A question of the turn that is over, and what became of it."""

    digest: str
    number: int
    choices: Sequence[str]
    choice: str
    comment: str
    decided_as: str
    decided_by: Any
    """The Django user who has decided; None: it was none, or is deleted."""
    at: datetime
    answer: UUID | None = None
    """The message that answers what another agent asks; None: it need not be answered."""


class Told(NamedTuple):
    """What the attempts before this one have led to."""

    turn: int
    """The number of the turn in which the message came that this run answers."""
    earlier: Sequence[Earlier]
    """What was decided of what the turn has asked, or is over."""


def read_decided(task_id: UUID, turn: int) -> list[Earlier]:
    """Return what was decided of what a turn has asked, or is over."""
    asked = models.Approval.objects.filter(task=task_id, turn=turn).exclude(ended_at=None)
    return [_earlier(row) for row in asked.select_related("decided_by")]


def _earlier(row: models.Approval) -> Earlier:
    assert row.ended_at is not None  # as its caller has asked for
    by, given = row.decided_by, (row.choices, row.choice, row.comment, row.decided_as)
    return Earlier(row.digest, row.number, *given, by, row.ended_at, row.answer)


class OpenApproval(NamedTuple):
    """A question that is open: its columns, named as a query names them."""

    id: UUID
    task: UUID
    choices: Sequence[str]
    permission: str


def open_approval(**which: Any) -> OpenApproval:
    """Return a question that is open, by its id or by its task; raise DecidedError for none."""
    fields = OpenApproval._fields
    found = selects.select_values(models.Approval, fields, ended_at=None, limit=1, **which)
    if not found:
        raise DecidedError
    return OpenApproval._make(found[0])


def open_with_head(approval: UUID) -> tuple[OpenApproval, TaskHead]:
    """Return a question that is open, and the head of its task; raise DecidedError for none."""
    row = open_approval(id=approval)
    head = find_task_head(row.task)
    if head is None:
        raise DecidedError
    return row, head


def overdue(limit: int) -> list[tuple[TaskHead, Resolution]]:
    """Return tasks whose question was not decided in time, each with what becomes of it."""
    late = models.Approval.objects.filter(ended_at=None, until__lt=Now()).order_by("until")
    found = [(find_task_head(row.task_id), expired(row)) for row in late[:limit]]
    return [(head, resolution) for head, resolution in found if head is not None]


def expired(row: models.Approval) -> Resolution:
    """Return what becomes of a question that was not decided in time."""
    told = _told(row.pk, Ending.EXPIRED) if row.choices else {}
    return Resolution(row.pk, Ending.EXPIRED, metadata=told)


def answered(approval: UUID, decided_as: str, user_id: Any) -> Resolution:
    """Return that somebody has answered what another agent asks."""
    return Resolution(approval, Ending.DECIDED, "", "", decided_as, user_id)


def decided(approval: UUID, choice: str, comment: str, decided_as: str, user_id: Any) -> Resolution:
    """Return what somebody has decided."""
    said = _told(approval, Ending.DECIDED, choice=choice, decidedBy=decided_as)
    return Resolution(approval, Ending.DECIDED, choice, comment, decided_as, user_id, said)


def _told(approval: UUID, ending: Ending, **more: str) -> dict[str, Any]:
    return {APPROVALS: {"approval": str(approval), "ending": ending.value, **more}}
