"""Stuck tasks: those that do not go on though they should, each kind found by an index.

Of each kind so many rows are looked at as figures count, and LISTED tasks are returned at most.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from uuid import UUID

from django.db.models import Exists, OuterRef, TextChoices
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from a2a_app import models
from a2a_app.database.statements import Literal
from a2a_app.database.values import first_key_at
from a2a_app.figures import current
from a2a_app.figures.levels import QUEUE_SECONDS
from a2a_app.protocol import TaskState

LISTED = 1000
WAITING = timedelta(days=1)
"""For how long a task may wait for an answer."""


class Stuck(TextChoices):
    """Why a task does not go on."""

    LOST = "lost", _("Its worker is gone")
    QUEUED = "queued", _("No worker for over a minute")
    IDLE = "idle", _("Nobody is to work on it")
    ASKING = "asking", _("No answer for over a day")


def stuck_tasks(why: Stuck) -> list[UUID]:
    """Return the keys of tasks that do not go on for one reason."""
    found = {
        Stuck.LOST: _lost,
        Stuck.QUEUED: _queued,
        Stuck.IDLE: _idle,
        Stuck.ASKING: _asking,
    }[why]()
    return list(islice(found, LISTED))


def _lost() -> Iterator[UUID]:
    yield from current.lost_runs().order_by("lease_until").values_list("task", flat=True)[:LISTED]


def _queued() -> Iterator[UUID]:
    before = timezone.now() - timedelta(seconds=QUEUE_SECONDS[0])
    yield from (task for since, task in current.queued_turns() if since < before)


def _idle() -> Iterator[UUID]:
    """Yield tasks that say that they go on, and have no turn that is at work or waits.

    No operation leaves one so. Whatever else writes to the tables may.
    """
    turns = models.Run.objects.filter(task=OuterRef("pk"), ended_at=None)
    # Of what is not there any more no constraint takes the key from the task.
    held = models.Run.objects.filter(pk=OuterRef("run_id"))
    for state in (TaskState.WORKING, TaskState.SUBMITTED):
        tasks = models.Task.objects.filter(~Exists(held), state=Literal(state.value))
        rows = tasks.annotate(goes_on=Exists(turns)).order_by("pk").values_list("pk", "goes_on")
        yield from (task for task, goes_on in rows[: current.COUNTED] if not goes_on)


def _asking() -> Iterator[UUID]:
    """Yield tasks that wait for somebody. What has waited for so long was begun before."""
    before = timezone.now() - WAITING
    tasks = models.WaitingTask.objects.filter(pk__lt=first_key_at(before)).order_by("pk")
    rows = tasks.values_list("pk", "status_at")[: current.COUNTED]
    yield from (task for task, since in rows if since < before)
