"""The search for tasks in the admin: by whatever names one, each by an index."""

import re
from uuid import UUID

from django.db.models import QuerySet

from a2a_app import models
from a2a_app.agents import registry
from a2a_app.database.values import KeyEnd

# How many of the newest tasks of a conversation, or of an owner with an agent, a search finds.
FOUND = 200
# How many conversations a search for a contextId finds, which clients may choose alike.
SHOWN_CONVERSATIONS = 20
# What belongs to a task and has an id of its own. The id of a run is the reference of a failure.
OF_A_TASK = (
    models.Run,
    models.Message,
    models.Artifact,
    models.File,
    models.PushNotificationConfig,
    models.Approval,
)
# The end of a key, as lists show it.
_END = re.compile(r"[0-9a-f]{12}")
# A whole id at the end of a sentence, such as "The agent failed. Reference: …".
_ID_AT_END = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\W*$)", re.IGNORECASE)


def find_tasks(term: str) -> set[UUID]:
    """Return the keys of the tasks that a text names.

    Args:
        term: The id of a task, or of what belongs to one; the end of a task's id; a contextId; or a
            sentence with an id at its end; or an owner.
    """
    text = term.strip()
    found = {pk for context in _contexts(text) for pk in _newest_of(context.pk)}
    end = text.lower().lstrip("…")
    if _END.fullmatch(end):
        return found.union(_by_end(end))
    key = key_in(text)
    if key is None:
        return found or tasks_of_owner(text)
    return found.union([key], _by_part(key), _newest_of(key))


def tasks_of_owner(owner: str) -> set[UUID]:
    """Return the keys of the newest tasks that an owner has with each of the project's agents."""
    return {
        pk
        for slug in registry.slugs()
        for pk in models.Task.objects.filter(agent=slug, owner=owner)
        .order_by("-status_at", "-pk")
        .values_list("pk", flat=True)[:FOUND]
    }


def key_in(text: str) -> UUID | None:
    """Return the id that a text is, or that stands at its end; None: it has none."""
    at_end = _ID_AT_END.search(text)
    try:
        return UUID(at_end[0] if at_end else text)
    except ValueError:
        return None


def _contexts(context_id: str) -> "QuerySet[models.Context]":
    """Return conversations of a contextId, each of another owner or agent."""
    found = models.Context.objects.filter(context_id=context_id)
    return found.order_by("agent", "owner")[:SHOWN_CONVERSATIONS]


def _newest_of(context: UUID) -> "QuerySet[models.Task, UUID]":
    """Return the keys of the newest tasks of a conversation."""
    tasks = models.Task.objects.filter(context=context).order_by("-status_at", "-pk")
    return tasks.values_list("pk", flat=True)[:FOUND]


def _by_end(end: str) -> "QuerySet[models.Task, UUID]":
    tasks = models.Task.objects.alias(end=KeyEnd("pk")).filter(end=end)
    return tasks.values_list("pk", flat=True)[:FOUND]


def _by_part(key: UUID) -> set[UUID]:
    """Return the key of the task to which something belongs, by one statement for all tables."""
    [first, *others] = [
        model._default_manager.filter(pk=key, task__isnull=False).values_list("task_id", flat=True)
        for model in OF_A_TASK
    ]
    return set(first.union(*others))
