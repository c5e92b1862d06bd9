"""The steps of a task: what its turns have done once, and what they wait for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Left
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from a2a_app import models
from a2a_app.models.step import Kind
from a2a_app.pages.contents import Budget
from a2a_app.pages.times import lasting

# How many steps a page has, the newest, and how many characters of what failed.
STEPS = 100
CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step, as a line of a table."""

    turn: int
    number: int
    name: str
    tone: str
    words: str
    lasted: str
    error: str


def read_steps(task: models.Task, budget: Budget) -> list[StepLine]:
    """Read the newest steps of a task, in the order in which they were begun."""
    newest = task.steps.order_by("-turn", "-number").annotate(text=Left("error", CHARACTERS))
    rows = list(newest.defer("result", "error")[:STEPS])
    now = timezone.now()
    return [_line(row, now, budget) for row in reversed(rows)]


def _line(step: Any, now: datetime, budget: Budget) -> StepLine:
    is_sleep = step.kind == Kind.SLEEP
    ended_at = step.until if is_sleep and step.until <= now else step.ended_at
    name = step.name or str(Kind(step.kind).label)
    if step.error_kind:
        tone, words = "bad", _("failed")
    elif ended_at is not None:
        tone, words = "good", _("done")
    else:
        tone, words = "asks", str(Kind(step.kind).label)
    if step.tries > 1:
        tries = ngettext("%(count)d try", "%(count)d tries", step.tries) % {"count": step.tries}
        words = f"{words}, {tries}"
    return StepLine(
        step.turn,
        step.number,
        budget.cut(name, CHARACTERS),
        tone,
        words,
        lasting((ended_at or now) - step.started_at),
        budget.cut(f"{step.error_kind}: {step.text}", CHARACTERS) if step.error_kind else "",
    )
