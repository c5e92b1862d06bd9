"""What waits for somebody, in the admin: each task with its question, and a form to answer it."""

import json
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import lazystr
from django.utils.text import Truncator
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from a2a_app import models, protocol
from a2a_app.admin.lists import AgentFilter, ReadOnlyAdmin
from a2a_app.admin.staff import added, call_for, note, perform
from a2a_app.agents import AgentNotFoundError
from a2a_app.models.waiting_task import WaitingTask
from a2a_app.operations.approvals import MAX_COMMENT, decide
from a2a_app.operations.idempotency import send_message
from a2a_app.protocol import Message, Part, Role, TaskState
from a2a_app.security import SecurityEvent

# How far the tasks are counted for the menu, and how much of a question the list shows.
COUNTED = 99
SHOWN_CHARACTERS = 120
# What the history of a task says: "Added … “yes”", or the message's id where nothing was chosen.
ANSWER = gettext_noop("answer")


_count: ContextVar[str] = ContextVar("a2a_waiting_tasks", default="")


class MenuName:
    """The name of the list, with how many tasks wait for whoever sees the menu."""

    def __str__(self) -> str:
        count = _count.get()
        if not count:
            return _("Waiting tasks")
        return _("Waiting tasks (%(count)s)") % {"count": count}


# Django has no other place for what a menu says. Not in the model, whose names migrations store.
WaitingTask._meta.verbose_name_plural = lazystr(MenuName())


class AnswerForm(forms.Form):
    """The answer to a question: one of its choices, if it has some, and a text."""

    choice = forms.ChoiceField(label=gettext_lazy("Choice"), widget=forms.RadioSelect)
    text = forms.CharField(widget=forms.Textarea(attrs={"rows": 4}), max_length=MAX_COMMENT)

    def __init__(self, choices: list[str], *args: Any) -> None:
        """Make a form for a question with these choices, or without any."""
        super().__init__(*args)
        if choices:
            field: Any = self.fields["choice"]
            field.choices = [(choice, choice) for choice in choices]
            self.fields["text"].required = False
            self.fields["text"].label = _("Comment")
        else:
            del self.fields["choice"]
            self.fields["text"].label = _("Answer")

    def clean_text(self) -> str:
        """Return the text with its lines as they were typed."""
        # A browser ends each with two characters.
        text: str = self.cleaned_data["text"]
        return text.replace("\r\n", "\n")


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a task waits for, and whether a member of staff may say it."""

    task: WaitingTask
    approval: models.Approval | None

    @classmethod
    def of(cls, task: Any) -> "Waiting":
        """Return what a task of the list waits for."""
        # What has no choices is asked by another agent, and any message answers it.
        return cls(task, next((each for each in task.open_approvals if each.choices), None))

    @property
    def asked(self) -> str:
        """What its question is known by, apart from those before and after it."""
        return str(self.approval.pk if self.approval is not None else self.task.status_at)

    @property
    def question(self) -> str:
        """The question."""
        if self.approval is not None:
            return self.approval.question
        said = self.task.status_message
        texts = [part["text"] for part in said.parts if "text" in part] if said else []
        return "\n".join(texts)

    @property
    def data_text(self) -> str:
        """What the question is about, as JSON."""
        data = self.approval.data if self.approval is not None else None
        return json.dumps(data, ensure_ascii=False, indent=2)

    @property
    def wanted(self) -> str:
        """What it waits for, in words."""
        if self.approval is not None:
            by = self.approval.permission
            of_staff = _("a decision of staff (%(permission)s)") % {"permission": by}
            return of_staff if by else _("a decision of the client")
        return _("authorization") if self.task.state == TaskState.AUTH_REQUIRED else _("an answer")

    def may_answer(self, user: Any) -> bool:
        """Tell whether a user may answer it: by the question's own permission, if it has one."""
        of_question = self.approval.permission if self.approval is not None else ""
        return bool(user.has_perm(of_question or "a2a_app.answer_task"))


@admin.register(WaitingTask)
class WaitingTaskAdmin(ReadOnlyAdmin):
    """Tasks that wait, newest first, each to be answered on its page."""

    list_display: tuple[str, ...] = ("wanted", "question", "agent", "owner", "since")
    list_filter = (AgentFilter,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WaitingTask]:
        """Return the tasks that somebody may see: all of them, or those it may decide."""
        opened = models.Approval.objects.filter(ended_at=None)
        rows = super().get_queryset(request).select_related("status_message")
        rows = rows.prefetch_related(Prefetch("approvals", opened, to_attr="open_approvals"))
        if self._sees_all(request):
            return rows
        own = opened.filter(permission__in=self._permissions(request))
        return rows.filter(pk__in=own.values("task"))

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the columns: the question is for those who may see messages, or answer it."""
        may_see = not self._sees_all(request) or _sees_messages(request)
        return tuple(each for each in self.list_display if may_see or each != "question")

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Return what somebody may do with the list, as a menu asks, and count it for the menu."""
        if self.has_view_permission(request) and not hasattr(request, "a2a_waiting"):
            rows = self.get_queryset(request).prefetch_related(None).select_related(None)
            count = rows.order_by()[: COUNTED + 1].values("pk").count()
            many = _("more than %(limit)s") % {"limit": COUNTED}
            request.a2a_waiting = many if count > COUNTED else str(count)  # type: ignore[attr-defined]  # once for a request
        _count.set(getattr(request, "a2a_waiting", ""))
        return super().get_model_perms(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the list to whoever may see a task in it."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow it to those who see tasks, answer them, or may decide what one asks."""
        return self._sees_all(request) or bool(self._permissions(request))

    def _sees_all(self, request: HttpRequest) -> bool:
        user = request.user
        return user.has_perm("a2a_app.answer_task") or user.has_perm("a2a_app.view_task")

    def _permissions(self, request: HttpRequest) -> list[str]:
        """Return the permissions of open questions that somebody has."""
        wanted = models.Approval.objects.filter(ended_at=None).exclude(permission="").order_by()
        names = wanted.values_list("permission", flat=True).distinct()
        return [name for name in names if request.user.has_perm(name)]

    @admin.display(description=gettext_lazy("question"))
    def question(self, task: WaitingTask) -> str:
        """Return the beginning of the question."""
        return Truncator(Waiting.of(task).question).chars(SHOWN_CHARACTERS)

    @admin.display(description=gettext_lazy("waits for"))
    def wanted(self, task: WaitingTask) -> str:
        """Return what it waits for, in words."""
        return Waiting.of(task).wanted

    @admin.display(description=gettext_lazy("since"))
    def since(self, task: WaitingTask) -> str:
        """Return for how long it has waited."""
        return timesince(task.status_at)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list by its plain name, and with the count in the menu beside it only."""
        response = super().changelist_view(request, extra_context)
        for app in (getattr(response, "context_data", None) or {}).get("available_apps", ()):
            for model in app["models"]:
                model["name"] = str(model["name"])
        _count.set("")
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the question of a task, and answer it."""
        if not self.has_view_permission(request) and not _was_asked(request, object_id):
            raise PermissionDenied
        task = self.get_object(request, object_id)
        if task is None:
            text = _("The task does not wait any more.")
            self.message_user(request, text, messages.WARNING)
            return self._leave(request)
        waiting = Waiting.of(task)
        choices = waiting.approval.choices if waiting.approval is not None else []
        form = AnswerForm(choices, request.POST or None)
        if request.method == "POST":
            if not waiting.may_answer(request.user):
                raise PermissionDenied
            # What somebody has said to one question must not count for another.
            if request.POST.get("asked") != waiting.asked:
                text = _("The task asks something else by now. Read the question again.")
                self.message_user(request, text, messages.WARNING)
                return HttpResponseRedirect(request.path)
            if form.is_valid() and self._answer(request, waiting, form.cleaned_data):
                return self._leave(request)
        return self._page(request, waiting, form)

    def _leave(self, request: HttpRequest) -> HttpResponse:
        # Nobody has the list any more for whom the last that it showed was decided.
        page = "a2a_app_waitingtask_changelist" if self.has_view_permission(request) else "index"
        return HttpResponseRedirect(reverse(f"admin:{page}"))

    def _page(self, request: HttpRequest, waiting: Waiting, form: AnswerForm) -> HttpResponse:
        may_answer = waiting.may_answer(request.user)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Answer a task"),
            "waiting": waiting,
            "form": form,
            "may_answer": may_answer,
            "shows_question": may_answer or _sees_messages(request),
            "task_page": _task_page(request, waiting.task),
            "opts": self.opts,
            "media": self.media,
        }
        return TemplateResponse(request, "a2a_app/waiting_task.html", context)

    def _answer(self, request: HttpRequest, waiting: Waiting, given: dict[str, Any]) -> bool:
        """Answer a task by the operation for it, and tell how that went; return whether it did."""
        task, approval, text = waiting.task, waiting.approval, given["text"]
        message = _message(waiting, given)
        try:
            if approval is not None and approval.permission:
                choice = given["choice"]
                perform(request, decide(approval.pk, choice, user=request.user, comment=text))
            else:
                send = protocol.SendMessageRequest(
                    message=message,
                    configuration=protocol.SendMessageConfiguration(return_immediately=True),
                )
                perform(request, send_message(call_for(request, task), send))
        except protocol.A2AError as error:
            self.message_user(request, error.message, messages.ERROR)
            return False
        except AgentNotFoundError:
            text = _("There is no agent '%(agent)s' any more.") % {"agent": task.agent}
            self.message_user(request, text, messages.ERROR)
            return False
        # What was written is for those who may see messages, and the history is for others too.
        what = given.get("choice") or message.message_id
        note(request, self, task, SecurityEvent.TASK_ANSWERED, added(ANSWER, what))
        self.message_user(request, _("The task goes on."), messages.SUCCESS)
        return True


def _message(waiting: Waiting, given: dict[str, Any]) -> Message:
    parts = [Part(text=given["text"])] if given["text"] else []
    if waiting.approval is not None:
        decision = {"approval": str(waiting.approval.pk), "choice": given["choice"]}
        parts.append(Part(data=decision))
    task_id = str(waiting.task.pk)
    return Message(message_id=str(uuid4()), role=Role.USER, task_id=task_id, parts=parts)


def answer_url(request: HttpRequest, task: models.Task) -> str:
    """Return the URL at which somebody may answer a task; empty: it waits for others or nobody."""
    if not TaskState(task.state).is_interrupted:
        return ""
    wanted = task.approvals.filter(ended_at=None).values_list("permission", flat=True).first()
    if not request.user.has_perm(wanted or "a2a_app.answer_task"):
        return ""
    return reverse("admin:a2a_app_waitingtask_change", args=[task.pk])


def _was_asked(request: HttpRequest, task_id: str) -> bool:
    """Tell whether a task has asked somebody for a decision, which may have been made since."""
    asked = models.Approval.objects.exclude(permission="").order_by()
    with suppress(ValueError):
        names = asked.filter(task=UUID(task_id)).values_list("permission", flat=True).distinct()
        return any(request.user.has_perm(name) for name in names)
    return False


def _sees_messages(request: HttpRequest) -> bool:
    user = request.user
    return user.has_perm("a2a_app.answer_task") or user.has_perm("a2a_app.view_message")


def _task_page(request: HttpRequest, task: models.Task) -> str:
    """Return the URL of the task's own page; empty for whoever may not see it."""
    may_see = request.user.has_perm("a2a_app.view_task")
    return reverse("admin:a2a_app_task_change", args=[task.pk]) if may_see else ""
