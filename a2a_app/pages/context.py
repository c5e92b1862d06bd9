"""The page of a conversation: its tasks, and what was said in it, in a task or without one.

Each part is shown to those who may view the model that it is made of.
"""

import json
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from django.http import HttpRequest
from django.utils.safestring import SafeString

from a2a_app import models
from a2a_app.pages.contents import ANSWERS_IN_ADMIN, Budget
from a2a_app.pages.conversation import Item, Shown, read_beginnings, read_said
from a2a_app.pages.states import badge
from a2a_app.pages.task import ROWS, agent_name, duration_of, may_view

# The parameter in the URL: the key of the message before which to show what was said.
BEFORE = "before"


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task in the table of tasks."""

    task: models.Task
    badge: SafeString
    words: str
    """How its request begins; empty where that is no text, or may not be seen."""
    lasted: str


@dataclass(frozen=True, slots=True)
class Block:
    """What was said one after the other in one task, or without any."""

    task: UUID | None
    items: list[Item]


@dataclass(frozen=True, slots=True)
class ContextPage:
    """What the template `a2a_app/context.html` shows of a conversation. None may not be seen."""

    context: models.Context
    agent_name: str
    state: str
    """What the agent remembers, as JSON; empty: nothing."""
    tasks: list[TaskLine] | None
    has_more_tasks: bool
    blocks: list[Block] | None
    earlier: UUID | None
    """The message before which earlier ones were left out; None: these are all."""


def read_context_page(request: HttpRequest, context: models.Context) -> ContextPage:
    """Read all that the page of a conversation shows to whoever asks for it."""
    budget = Budget()
    blocks = earlier = None
    may_see_messages = may_view(request, "message")
    if may_see_messages:
        files = _files(context) if may_view(request, "file") else None
        shown = Shown(True, False, files, budget, answers=ANSWERS_IN_ADMIN)
        items, earlier = read_said(context, shown, _key_in(request))
        blocks = [Block(task, list(said)) for task, said in groupby(items, _task_of)]
    tasks = _tasks(context) if may_view(request, "task") else None
    keys = [task.pk for task in tasks or ()]
    begun = read_beginnings(keys) if keys and may_see_messages else {}
    state = json.dumps(context.state, ensure_ascii=False, indent=2) if context.state else ""
    return ContextPage(
        context=context,
        agent_name=agent_name(context.agent),
        state=budget.cut(state),
        tasks=None if tasks is None else [_line(task, begun) for task in tasks[:ROWS]],
        has_more_tasks=len(keys) > ROWS,
        blocks=blocks,
        earlier=earlier,
    )


def _tasks(context: models.Context) -> list[models.Task]:
    """Return the newest tasks, by the index of the list of tasks."""
    return list(context.tasks.order_by("-status_at", "-pk")[: ROWS + 1])


def _files(context: models.Context) -> dict[str, models.File]:
    return {str(row.pk): row for row in context.files.order_by("-created_at")[:ROWS]}


def _line(task: models.Task, begun: dict[UUID, str | None]) -> TaskLine:
    return TaskLine(task, badge(task.state), begun.get(task.pk) or "", duration_of(task))


def _task_of(item: Item) -> UUID | None:
    return item.task


def _key_in(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.GET.get(BEFORE, ""))
    except ValueError:
        return None
