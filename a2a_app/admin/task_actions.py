"""What staff may do with many tasks: cancel them, run them again, delete them."""

from typing import Any
from uuid import uuid4

from django.contrib import admin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from a2a_app import models, protocol
from a2a_app.admin.actions import Action, perform_action
from a2a_app.admin.lists import ReadOnlyAdmin
from a2a_app.admin.staff import added, call_for, changed, note, perform, record_about
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.operations.call import OPERATOR
from a2a_app.operations.idempotency import send_message
from a2a_app.operations.tasks import cancel_task
from a2a_app.protocol import Message, Role
from a2a_app.protocol.states import TERMINAL_STATES
from a2a_app.security import SecurityEvent
from a2a_app.store.durable.remote_tasks import has_to_cancel
from a2a_app.store.removal import remove_tasks

ENDED = [state.value for state in TERMINAL_STATES]
# What the history of a task says: "Changed ….", and "Added … “…”." with the new task's id.
CANCELED = gettext_noop("state to “canceled”")
RERUN = gettext_noop("new task with the same message")


class TaskActions(ReadOnlyAdmin):
    """The actions of the list of tasks. Each asks first, and does what is possible."""

    actions: Any = ("cancel_tasks", "rerun_tasks", "delete_tasks")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Allow it to users with the permission to change tasks."""
        return request.user.has_perm("a2a_app.change_task")

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        """Allow it to users with the permission for it."""
        return request.user.has_perm("a2a_app.rerun_task")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Allow it to users with the permission to delete tasks."""
        return request.user.has_perm("a2a_app.delete_task")

    @admin.action(description=gettext_lazy("Cancel selected tasks"), permissions=["cancel"])
    def cancel_tasks(
        self, request: HttpRequest, queryset: QuerySet[models.Task]
    ) -> HttpResponse | None:
        """Cancel tasks as CancelTask does."""
        action = Action(
            "cancel_tasks",
            _("Cancel tasks"),
            _(
                "Agents that are at work on them are stopped. Tasks that have ended stay as "
                "they are."
            ),
            _("Canceled"),
            _cancelable,
            self.cancel_each,
        )
        return perform_action(self, request, queryset, action)

    @admin.action(description=gettext_lazy("Run selected tasks again"), permissions=["rerun"])
    def rerun_tasks(
        self, request: HttpRequest, queryset: QuerySet[models.Task]
    ) -> HttpResponse | None:
        """Begin for each task that has ended a new one with the same message."""
        action = Action(
            "rerun_tasks",
            _("Run tasks again"),
            _(
                "For each task that has ended a new one begins, with the first message of the old "
                "one, to which it refers."
            ),
            _("Run again"),
            _repeatable,
            self.rerun_each,
        )
        return perform_action(self, request, queryset, action)

    @admin.action(description=gettext_lazy("Delete selected tasks"), permissions=["remove"])
    def delete_tasks(
        self, request: HttpRequest, queryset: QuerySet[models.Task]
    ) -> HttpResponse | None:
        """Delete tasks that have ended."""
        action = Action(
            "delete_tasks",
            _("Delete tasks"),
            _("Tasks that have ended are deleted with all that belongs to them, for ever."),
            _("Deleted"),
            _ended,
            self._delete_each,
        )
        return perform_action(self, request, queryset, action)

    def cancel_each(self, request: HttpRequest, tasks: list[models.Task]) -> list[str]:
        """Cancel each task; return for each that refuses the reason."""
        reasons = []
        for task in tasks:
            try:
                wanted = protocol.CancelTaskRequest(id=str(task.pk))
                perform(request, cancel_task(call_for(request, task), wanted))
            except (protocol.A2AError, AgentNotFoundError) as error:
                reasons.append(reason_of(error, task))
            else:
                note(request, self, task, SecurityEvent.TASK_CANCELED, changed(CANCELED))
        return reasons

    def rerun_each(self, request: HttpRequest, tasks: list[models.Task]) -> list[str]:
        """Run each task again; return for each with which that fails the reason."""
        reasons = []
        for task in tasks:
            try:
                self.rerun_one(request, task)
            except (protocol.A2AError, AgentNotFoundError) as error:
                reasons.append(reason_of(error, task))
        return reasons

    def rerun_one(self, request: HttpRequest, task: models.Task) -> str:
        """Run a task again, and return the id of the new one; empty where there is none."""
        call = call_for(request, task)
        sent = perform(request, send_message(call, _again(task, call.agent)))
        key = sent.task.id if sent.task is not None else ""
        note(request, self, task, SecurityEvent.TASK_RERUN, added(RERUN, key or "-"))
        return key

    def _delete_each(self, request: HttpRequest, tasks: list[models.Task]) -> list[str]:
        chosen = models.Task.objects.filter(pk__in=[task.pk for task in tasks])
        remove_tasks(chosen.filter(~has_to_cancel(), state__in=ENDED))
        left = set(chosen.values_list("pk", flat=True))
        unheard = set(chosen.filter(has_to_cancel()).values_list("pk", flat=True))
        kind = ContentType.objects.get_for_model(models.Task)
        for task in tasks:
            if task.pk not in left:
                LogEntry.objects.create(
                    user_id=str(request.user.pk),
                    content_type=kind,
                    object_id=str(task.pk),
                    object_repr=str(task),
                    action_flag=DELETION,
                    change_message="",
                )
                record_about(request, task, SecurityEvent.TASK_DELETED)
        waits = _("An agent that it has asked has still to hear that it is canceled.")
        return [
            waits if task.pk in unheard else _("It has not ended.")
            for task in tasks
            if task.pk in left
        ]


def reason_of(error: Exception, task: models.Task) -> str:
    """Return in words why an operation on a task was refused."""
    if isinstance(error, protocol.A2AError):
        return error.message
    return _("There is no agent '%(agent)s' any more.") % {"agent": task.agent}


def _cancelable(tasks: QuerySet[models.Task]) -> QuerySet[models.Task]:
    agents = [agent.slug for agent in registry if agent.cancelable]
    return tasks.exclude(state__in=ENDED).filter(agent__in=agents)


def _ended(tasks: QuerySet[models.Task]) -> QuerySet[models.Task]:
    return tasks.filter(state__in=ENDED)


def _repeatable(tasks: QuerySet[models.Task]) -> QuerySet[models.Task]:
    return _ended(tasks).filter(agent__in=registry.slugs())


def _again(task: models.Task, agent: Any) -> protocol.SendMessageRequest:
    """Return what begins a new task with the first message of an old one.

    Raises:
        UnsupportedOperationError: It has none, such as one that came from another server.
    """
    first = task.messages.filter(role=Role.USER.value).order_by("seq", "id").first()
    if first is None:
        raise protocol.UnsupportedOperationError(_("It has no message of its client."))
    run = task.runs.order_by("turn", "attempt").first()
    message = Message.from_dict(
        {
            "messageId": str(uuid4()),
            "role": Role.USER.value,
            "parts": first.parts,
            "metadata": {key: it for key, it in first.metadata.items() if key != OPERATOR},
            "extensions": first.extensions,
            "referenceTaskIds": [str(task.pk)],
            # There the message might go to another task, which waits.
            "contextId": "" if agent.continues_waiting_task else task.context.context_id,
        }
    )
    return protocol.SendMessageRequest(
        message=message,
        metadata=run.metadata if run is not None else {},
        configuration=protocol.SendMessageConfiguration(
            return_immediately=True,
            accepted_output_modes=run.accepted_output_modes if run is not None else [],
        ),
    )
