"""A chat: the newest tasks of a conversation with what was said in each, for whoever has begun it.

The conversation of one task is read as on the page of the task. Nothing but what the owner's own
client would get is read.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from a2a_app import models
from a2a_app.agents import Agent
from a2a_app.bindings.interfaces import base_url
from a2a_app.models.owners import Scope
from a2a_app.pages.contents import Budget, Places
from a2a_app.pages.conversation import Item, Shown, read_answers, read_conversation
from a2a_app.pages.states import badge
from a2a_app.pages.task import ROWS
from a2a_app.protocol import TaskState

CHAT_URL = "a2a_console_agent"
"""The name of the URL of an agent's chat."""
PART_URL, FILE_URL = "a2a_console_part", "a2a_console_file"
"""The names of the URLs at which the console serves parts and files."""

# How many tasks of a conversation are shown, the newest ones.
TASKS = 10
# In these states nothing comes before the client says something.
_WAITING = (TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED)


@dataclass(frozen=True, slots=True)
class Block:
    """A task with what was said in it, or an answer without a task."""

    created_at: datetime
    items: list[Item]
    task: models.Task | None = None
    badge: SafeString | str = ""
    earlier: bool = False
    """Whether there is more of it than is shown."""
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class Chat:
    """What the template `a2a_app/console/chat.html` shows of a conversation."""

    agent: str
    context_id: str = ""
    """The conversation's contextId; empty: it has not begun."""
    blocks: list[Block] = field(default_factory=list)
    earlier: bool = False
    """Whether there are earlier tasks than those that are shown."""

    @property
    def open_task(self) -> models.Task | None:
        """The newest task that goes on, to which the next message belongs."""
        tasks = [block.task for block in self.blocks if block.task and not block.is_over]
        return tasks[-1] if tasks else None

    @property
    def live_task(self) -> models.Task | None:
        """The same task where more may come of it without a further message."""
        task = self.open_task
        return None if task is None or TaskState(task.state) in _WAITING else task


def required_extensions(agent: Agent) -> str:
    """Return the URIs of the extensions without which an agent does not answer, as a header."""
    return ", ".join(each.uri for each in agent.declared_extensions if each.required)


def form_context(request: HttpRequest, agent: Agent) -> dict[str, Any]:
    """Return what the template of a chat has to know beside the chat itself."""
    return {
        "can_stream": agent.streaming and not isinstance(request, WSGIRequest),
        "csrf_header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-"),
        "extensions": required_extensions(agent),
        "agent_url": base_url(request) + reverse("a2a:jsonrpc", args=[agent.slug]),
    }


def tasks_of(scope: Scope) -> "QuerySet[models.Task]":
    """Return the tasks that a caller has with an agent."""
    return models.Task.objects.filter(**scope.tasks())


def places_in(agent: str) -> Places:
    """Return where the console serves parts and files of an agent's tasks."""
    return Places(PART_URL, FILE_URL, (agent,))


def read_chat(scope: Scope, context_id: str) -> Chat:
    """Read a conversation of a caller with an agent; an empty one where there is none."""
    context = models.Context.objects.filter(
        context_id=context_id, agent=scope.agent, owner=scope.owner
    ).first()
    if context is None:
        return Chat(scope.agent)
    budget = Budget()
    newest = list(context.tasks.select_related("context").order_by("-pk")[: TASKS + 1])
    blocks = [_block(task, budget) for task in newest[:TASKS]]
    shown = Shown(True, True, None, budget, places_in(scope.agent), _("you"))
    blocks += [
        Block(item.created_at or context.created_at, [item])
        for item in read_answers(context, shown)
    ]
    # A message and its answer may have the same time, and the sort is stable.
    blocks.sort(key=lambda block: block.created_at)
    return Chat(scope.agent, context.context_id, blocks, len(newest) > TASKS)


def _block(task: models.Task, budget: Budget) -> Block:
    files = {str(row.pk): row for row in task.files.all().order_by("-pk")[:ROWS]}
    shown = Shown(True, True, files, budget, places_in(task.agent), _("you"))
    conversation = read_conversation(task, shown, None)
    return Block(
        task.created_at,
        conversation.items,
        task,
        badge(task.state),
        conversation.earlier is not None,
        TaskState(task.state).is_terminal,
    )
