"""Staff: operations in the name of a member of staff, and the record of who did what.

An entry of the admin's history is stored as Django stores its own, in the form that is translated
when somebody reads it. That form has sentences of its own: "Added {name} “{object}”." and "Changed
{fields}." So what is passed here fits into one of them.
"""

from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar

from asgiref.sync import async_to_sync
from django.contrib.admin import ModelAdmin
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

from a2a_app import models
from a2a_app.agents import registry
from a2a_app.bindings.wsgi import do_on_lasting_loop
from a2a_app.models.owners import name_of_user
from a2a_app.operations.call import Call, Caller
from a2a_app.security import SecurityEvent, record

T = TypeVar("T")
Entry: TypeAlias = list[dict[str, dict[str, Any]]]
"""An entry of the admin's history, to be translated when it is read."""


def call_for(request: HttpRequest, task: models.Task) -> Call:
    """Return a call about a task, in the name of its owner, that says who has made it.

    Raises:
        AgentNotFoundError: The project does not have its agent any more.
    """
    caller = Caller(task.owner, user_id=task.user_id)
    return Call(registry.get(task.agent), caller, operator=request.user.pk)


def perform(request: HttpRequest, work: Coroutine[Any, Any, T]) -> T:
    """Do the work of an operation and return its result, on an event loop that outlives a turn."""
    if isinstance(request, WSGIRequest):
        return async_to_sync(do_on_lasting_loop)(work)
    return async_to_sync(_wait)(work)


async def _wait(work: Coroutine[Any, Any, T]) -> T:
    return await work


def note(
    request: HttpRequest,
    shown: "ModelAdmin[Any]",
    task: models.Task,
    event: SecurityEvent,
    entry: Entry,
) -> None:
    """Record what staff has done with a task: in the admin's history, and in the security log."""
    # In the history of the task, also where it was found in the list of those that wait.
    shown.log_change(request, models.Task(pk=task.pk), entry)
    record_about(request, task, event)


def added(name: str, what: str) -> Entry:
    """Return an entry of the history that says of what something was added to a row.

    Args:
        name: The kind of it, marked for translation by `gettext_noop`.
        what: What was added, which is not translated.
    """
    return [{"added": {"name": name, "object": what}}]


def changed(what: str) -> Entry:
    """Return an entry of the history that says what of a row was changed.

    Args:
        what: What it was and became, marked for translation by `gettext_noop`.
    """
    return [{"changed": {"fields": [what]}}]


def record_about(request: HttpRequest, task: models.Task, event: SecurityEvent) -> None:
    """Log for security what staff has done with a task."""
    record(
        event,
        owner=task.owner,
        agent=task.agent,
        address=request.META.get("REMOTE_ADDR", ""),
        actor=name_of_user(request.user.pk),
        task=str(task.pk),
    )
