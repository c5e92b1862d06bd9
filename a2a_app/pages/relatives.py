"""Relatives of a task: the tasks that it has asked for, and those that have asked for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse
from django.utils.safestring import SafeString

from a2a_app import models
from a2a_app.pages.contents import Budget
from a2a_app.pages.states import badge

# How many tasks are shown, and over how many turns that have led to each other.
ROWS = 50
LEVELS = 10
WORDS_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Relative:
    """A task of the tree."""

    level: int
    """How many turns have led to it, one by another."""
    agent: str
    url: str
    """Its page; empty: it is elsewhere, or not known."""
    mark: SafeString | str
    words: str
    asked_at: datetime | None
    """When it was asked for; None: no agent has asked for it."""
    is_here: bool
    """Whether the page is its own."""

    @property
    def indent(self) -> str:
        """What stands before it, so that it is below the one that has asked for it."""
        return "\N{EM SPACE}" * self.level + ("↳ " if self.level else "")


def read_relatives(task: models.Task, budget: Budget) -> list[Relative]:
    """Read the tree of a task, from the first task that has led to it; empty if it is alone."""
    if not task.linked:
        return []
    above = _read_above(task)
    rows = [*enumerate(above, start=1), *_in_order(_read_below(task), str(task.pk), len(above) + 1)]
    if not rows:
        return []
    ids = [row.remote_id for _, row in rows if row.is_local and row.remote_id]
    states = models.Task.objects.filter(pk__in=ids).values_list("pk", "state")
    known = {str(key): state for key, state in states}
    root = above[0].task if above else task
    first = Relative(0, root.agent, _url(root.pk), badge(root.state), "", None, root.pk == task.pk)
    return [first, *(_relative(row, level, known, task, budget) for level, row in rows)]


def _read_above(task: models.Task) -> list[models.RemoteTask]:
    """Return by which turns a task was asked for, the first one first."""
    found: list[models.RemoteTask] = []
    key = task.pk
    while len(found) < LEVELS:
        asked = models.RemoteTask.objects.filter(remote_id=str(key), is_local=True)
        row = asked.select_related("task").order_by("pk").first()
        if row is None or any(row.task_id == each.task_id for each in found):
            break
        found.insert(0, row)
        key = row.task_id
    return found


def _read_below(task: models.Task) -> dict[str, list[models.RemoteTask]]:
    """Return what a task has asked for, and what that has, by the ids of those that have asked."""
    below: dict[str, list[models.RemoteTask]] = {}
    keys: set[UUID] = {task.pk}
    left = ROWS
    for _ in range(LEVELS):
        asked = models.RemoteTask.objects.filter(task__in=keys)
        rows = list(asked.order_by("task", "turn", "number")[:left])
        for row in rows:
            below.setdefault(str(row.task_id), []).append(row)
        left -= len(rows)
        keys = {UUID(row.remote_id) for row in rows if row.is_local and row.remote_id}
        keys -= {UUID(key) for key in below}
        if not keys or left <= 0:
            break
    return below


def _in_order(
    below: dict[str, list[models.RemoteTask]], key: str, level: int
) -> Iterator[tuple[int, models.RemoteTask]]:
    """Yield what a task has asked for, each before what that has asked for, with its level."""
    for row in below.pop(key, ()):
        yield level, row
        yield from _in_order(below, row.remote_id, level + 1)


def _relative(
    row: models.RemoteTask, level: int, known: dict[str, str], here: models.Task, budget: Budget
) -> Relative:
    """Return what is shown of a row, where `known` has the states of the tasks that are here."""
    text = budget.cut(row.text, WORDS_CHARACTERS)
    state = known.get(row.remote_id, row.state)
    return Relative(
        level=level,
        agent=row.agent,
        url=_url(row.remote_id) if row.remote_id in known else "",
        mark=badge(state) if state else "",
        words=text + ("…" if len(text) < len(row.text) else ""),
        asked_at=row.created_at,
        is_here=row.remote_id == str(here.pk),
    )


def _url(key: UUID | str) -> str:
    return reverse("admin:a2a_app_task_change", args=[key])
