"""The page of a task, as one story: what it is, what was said, what happened when, and by whom.

Each part is shown to those who may view the model that it is made of.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from a2a_app import models
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.models.owners import MAX_OWNER, row_of
from a2a_app.operations.call import OPERATOR
from a2a_app.pages.contents import Budget
from a2a_app.pages.conversation import Conversation, Shown, read_conversation
from a2a_app.pages.relatives import Relative, read_relatives
from a2a_app.pages.steps import StepLine, read_steps
from a2a_app.pages.timeline import Bar, Timeline, read_bars, read_lines
from a2a_app.pages.times import lasting
from a2a_app.pages.webhook import WebhookState, state_of
from a2a_app.protocol import TaskState

# The models whose rows the page shows, to those who may view them.
SHOWN = (
    "message", "artifact", "file", "run", "step", "event", "pushnotificationconfig", "remotetask",
)  # fmt: skip  # as one list
# How many files and webhooks are listed.
ROWS = 50
EARLIER, OLDER = "earlier", "older"
"""The parameters in the URL: the numbers of the log before which to show the conversation, and the
timeline."""
# With a page's lines added to it, it still is a number of a column.
LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class TaskPage:
    """What the template `a2a_app/task.html` shows of a task. What is None may not be seen."""

    task: models.Task
    agent_name: str
    owner_url: str
    is_over: bool
    polls: bool
    """Whether the page has to ask what is new, since the server cannot send it."""
    lasted: str
    canceled_by: str
    """The member of staff who has canceled it; empty: it was nobody of staff."""
    metadata: str
    conversation: Conversation | None
    timeline: Timeline | None
    archived: models.ArchivedLog | None
    bars: list[Bar] | None
    steps: list[StepLine] | None
    files: list[models.File] | None
    webhooks: list[tuple[models.PushNotificationConfig, WebhookState]] | None
    relatives: list[Relative] | None


def may_view(request: HttpRequest, model: str) -> bool:
    """Tell whether whoever sends a request may view the rows of one of our models."""
    return request.user.has_perm(f"a2a_app.view_{model}")


def read_task_page(request: HttpRequest, task: models.Task) -> TaskPage:
    """Read all that the page of a task shows to whoever asks for it."""
    may = {name: may_view(request, name) for name in SHOWN}
    budget = Budget()
    files = list(task.files.order_by("-pk")[:ROWS]) if may["file"] else None
    shown = Shown(may["message"], may["artifact"], _by_id(files), budget)
    conversation = None
    if shown.messages or shown.artifacts:
        conversation = read_conversation(task, shown, number_in(request, EARLIER))
    timeline = archived = None
    if may["event"]:
        timeline = read_lines(task, number_in(request, OLDER), _names(conversation), budget)
        archived = None if timeline.lines else _archived(task)
    return TaskPage(
        task=task,
        agent_name=agent_name(task.agent),
        owner_url=owner_url(request, task),
        is_over=TaskState(task.state).is_terminal,
        polls=isinstance(request, WSGIRequest),
        lasted=duration_of(task),
        canceled_by=_canceled_by(task),
        metadata=budget.cut(_dumped(task.metadata)) if task.metadata else "",
        conversation=conversation,
        timeline=timeline,
        archived=archived,
        bars=read_bars(task, budget) if may["run"] else None,
        steps=read_steps(task, budget) if may["step"] else None,
        files=files,
        webhooks=_webhooks(task) if may["pushnotificationconfig"] else None,
        relatives=read_relatives(task, budget) if may["remotetask"] else None,
    )


def _archived(task: models.Task) -> models.ArchivedLog | None:
    return models.ArchivedLog.objects.select_related("archive").filter(pk=task.pk).first()


def _canceled_by(task: models.Task) -> str:
    mark = task.metadata.get(OPERATOR) if task.state == TaskState.CANCELED else None
    name = str(mark.get("user", ""))[:MAX_OWNER] if isinstance(mark, dict) else ""
    with suppress(LookupError):
        # Somebody who is deleted by now has left a key.
        return str(row_of(name) or name)
    return name


def _webhooks(task: models.Task) -> list[tuple[models.PushNotificationConfig, WebhookState]]:
    # Its URL and its secrets are for nobody to see.
    rows = task.push_configs.defer("url", "secrets").order_by("pk")[:ROWS]
    return [(row, state_of(row)) for row in rows]


def _by_id(files: list[models.File] | None) -> Mapping[str, models.File] | None:
    return None if files is None else {str(row.pk): row for row in files}


def _names(conversation: Conversation | None) -> dict[str, str]:
    """Return the names of the artifacts that are shown."""
    items = conversation.items if conversation else []
    return {item.artifact_id: item.name for item in items if item.artifact_id}


def number_in(request: HttpRequest, name: str) -> int | None:
    """Return a number in a URL; None where there is none, or what is no number of a log."""
    text = request.GET.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else LARGEST
    return number if number < LARGEST else None


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def agent_name(slug: str) -> str:
    """Return the name of an agent; its slug where the project has it no more."""
    try:
        return registry.get(slug).name
    except AgentNotFoundError:
        return slug


def duration_of(task: models.Task) -> str:
    """Return in words how long a task took, or how long it has been there where it goes on."""
    is_over = TaskState(task.state).is_terminal
    return lasting((task.status_at if is_over else timezone.now()) - task.created_at)


def owner_url(request: HttpRequest, task: models.Task) -> str:
    """Return the URL of the user in the admin, for those who may go there; else nothing."""
    user = task.user
    if user is None:
        return ""
    options = user._meta
    if not request.user.has_perm(f"{options.app_label}.view_{options.model_name}"):
        return ""
    try:
        return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[user.pk])
    except NoReverseMatch:  # users are not in the admin
        return ""
