"""The log of a task, to be read one event after the other."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from pydantic_core import from_json, to_json

from a2a_app import models
from a2a_app.pages.contents import CONTENT_CHARACTERS
from a2a_app.pages.task import may_view
from a2a_app.store.reads.log import events_after


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a task's log, as the template `a2a_app/console/log.html` shows it."""

    task: models.Task
    number: int
    turn: int = 0
    text: str = ""
    """Its JSON, as clients get it; empty: the log does not have it, or not any more."""
    is_cut: bool = False

    @property
    def previous(self) -> int:
        """The number of the event before it; 0 for the first one."""
        return self.number - 1

    @property
    def next(self) -> int:
        """The number of the event after it; 0 for the last one."""
        return self.number + 1 if self.number < self.task.seq else 0


def read_step(task: models.Task, number: int) -> Step:
    """Read an event of a task, by its number in the log; the last one if there are not so many."""
    number = max(1, min(number, task.seq))
    for event in events_after(task.pk, number - 1, limit=1):
        text = to_json(from_json(event.body), indent=2).decode()
        is_cut = len(text) > CONTENT_CHARACTERS
        return Step(task, number, event.turn, text[:CONTENT_CHARACTERS], is_cut)
    return Step(task, number)


def may_view_in_admin(request: HttpRequest) -> bool:
    """Tell whether whoever sends a request may see the pages of tasks in the admin."""
    try:
        reverse("admin:a2a_app_task_changelist")
    except NoReverseMatch:  # the project has no admin
        return False
    return getattr(request.user, "is_staff", False) and may_view(request, "task")
