"""Tasks in the admin, with all that led to their state. Only operations change them."""

import json
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Left, Length
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from a2a_app import models, protocol
from a2a_app.admin.lists import AgentFilter, ReadOnlyAdmin, newest
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.bindings.files import OpenedFileResponse
from a2a_app.database.statements import Literal
from a2a_app.files.links import SCHEME
from a2a_app.models.owners import name_of_user
from a2a_app.models.run import Outcome
from a2a_app.operations.call import Call, Caller
from a2a_app.operations.tasks import cancel_task
from a2a_app.pages.states import badge, words
from a2a_app.protocol import TaskState
from a2a_app.security import SecurityEvent, record
from a2a_app.store.archives import open_log

FILE_URL = "a2a_app_file_content"
"""The name of the URL at which the admin serves a file's bytes."""
LOG_URL = "a2a_app_task_log"
"""The name of the URL at which the admin serves a log that is in an archive."""

# How many rows of each kind a task's page shows, and how many characters of one text, so that the
# page opens for any task.
SHOWN = 200
SHOWN_CHARACTERS = 2000
# How many conversations a search for a contextId finds, which clients may choose alike.
SHOWN_CONVERSATIONS = 20


# Of which model a section of a task's page shows the rows, where that is not the task.
SECTION_MODELS = {
    "Status message": "message",
    "History": "message",
    "Artifacts": "artifact",
    "Files": "file",
    "Runs": "run",
    "Log": "event",
}


class StateFilter(admin.SimpleListFilter):
    """Filters by the state of tasks."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(s.value, words(s.value)) for s in TaskState if s is not TaskState.UNSPECIFIED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the tasks in the chosen state."""
        chosen = [state.value for state in TaskState if state.value == self.value()]
        return queryset.filter(state=Literal(chosen[0])) if chosen else queryset


class OutcomeFilter(admin.SimpleListFilter):
    """Filters the newest runs by how they ended."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        """Return the outcomes."""
        return list(Outcome.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the newest runs that ended as chosen."""
        return newest(queryset).filter(outcome=self.value()) if self.value() else queryset


@admin.register(models.Task)
class TaskAdmin(ReadOnlyAdmin):
    """Tasks, newest first, and all that happened to each."""

    change_form_template = "a2a_app/task.html"
    list_display = ("short_id", "agent", "state_words", "owner", "status_at", "conversation")
    # By state first, which has an index: the other one looks through what it has found.
    list_filter = (StateFilter, AgentFilter)
    list_select_related = ("context",)
    search_fields = ("id",)  # shows the search box; get_search_results does the search
    search_help_text = "A task's id or a contextId, in full."
    actions = ("cancel_tasks",)
    fieldsets = (
        (None, {"fields": ("id", "agent", "state_words", "status_at", "metadata")}),
        ("Owner", {"fields": ("owner", "user", "context")}),
        ("Status message", {"fields": ("status_text",)}),
        ("History", {"fields": ("history",)}),
        ("Artifacts", {"fields": ("artifacts",)}),
        ("Files", {"fields": ("files",)}),
        ("Runs", {"fields": ("runs",)}),
        ("Log", {"fields": ("seq", "turn", "answered", "created_at", "timeline")}),
    )
    readonly_fields = (
        "state_words", "status_text", "history", "artifacts", "files", "runs", "timeline",
    )  # fmt: skip  # read as two lines it is one list

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out what shows rows of other models, unless their own pages may be seen."""
        return [
            section
            for section in self.fieldsets
            if request.user.has_perm(f"a2a_app.view_{SECTION_MODELS.get(section[0] or '', 'task')}")
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Task]:
        """Read tasks together with the rows to which each view of them refers."""
        return super().get_queryset(request).select_related("context", "status_message", "user")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for a whole id, since a search for a part would read every row."""
        term = search_term.strip()
        if not term:
            return queryset, False
        keys = [pk for context in _contexts(term) for pk in _newest_tasks_of(context)]
        key = _uuid_or_none(term)
        return queryset.filter(pk__in=[*keys, key] if key else keys), False

    @admin.display(description="id")
    def short_id(self, task: models.Task) -> SafeString:
        """Return the end of the id. Its beginning is the time, which neighbours share."""
        return format_html('<span title="{}">…{}</span>', task.pk, task.pk.hex[-12:])

    @admin.display(description="state")
    def state_words(self, task: models.Task) -> SafeString:
        """Return the state in words, with its colour."""
        return badge(task.state)

    @admin.display(description="context")
    def conversation(self, task: models.Task) -> str:
        """Return the contextId that the client uses."""
        return task.context.context_id

    @admin.display(description="status message")
    def status_text(self, task: models.Task) -> str:
        """Return the text of the status message."""
        said = task.status_message
        return "\n".join(_texts(said.parts)) if said else "-"

    @admin.display(description="messages")
    def history(self, task: models.Task) -> SafeString:
        """Show the messages of the client and the agent."""
        rows = list(task.messages.order_by("seq", "id")[: SHOWN + 1])
        lines = [(row, _texts(row.parts)) for row in rows[:SHOWN]]
        return _section("messages", lines=lines, more=len(rows) > SHOWN)

    @admin.display(description="artifacts")
    def artifacts(self, task: models.Task) -> SafeString:
        """Show the artifacts."""
        rows = list(task.artifacts.order_by("first_seq")[: SHOWN + 1])
        lines = [(row, _texts(row.parts)) for row in rows[:SHOWN]]
        return _section("artifacts", lines=lines, more=len(rows) > SHOWN)

    @admin.display(description="files")
    def files(self, task: models.Task) -> SafeString:
        """Show links to the files of messages and artifacts."""
        rows = list(task.files.order_by("id")[: SHOWN + 1])
        lines = [(row, reverse(f"admin:{FILE_URL}", args=[row.pk])) for row in rows[:SHOWN]]
        return _section("files", lines=lines, more=len(rows) > SHOWN)

    @admin.display(description="runs")
    def runs(self, task: models.Task) -> SafeString:
        """Show the runs: their workers, and how they ended."""
        rows = list(task.runs.order_by("turn", "attempt")[: SHOWN + 1])
        return _section("runs", lines=rows[:SHOWN], holder=task.run_id, more=len(rows) > SHOWN)

    @admin.display(description="events")
    def timeline(self, task: models.Task) -> SafeString:
        """Show the first events of the log, and how many more there are, or where they are."""
        events = models.Event.objects.filter(task=task.pk).order_by("seq")
        shortened = events.annotate(beginning=Left("body", SHOWN_CHARACTERS), length=Length("body"))
        lines = [
            {
                **event,
                "words": words(event["state"]),
                "more": max(0, event["length"] - SHOWN_CHARACTERS),
            }
            for event in shortened.values(
                "seq", "turn", "state", "created_at", "beginning", "length"
            )[:SHOWN]
        ]
        logs = models.ArchivedLog.objects.select_related("archive").filter(pk=task.pk)
        if not lines and (log := logs.first()):
            url = reverse(f"admin:{LOG_URL}", args=[task.pk])
            return _section("archived_log", log=log, url=url)
        return _section("timeline", lines=lines, more=max(0, task.seq - SHOWN))

    def get_urls(self) -> list[URLPattern]:
        """Add the URL at which staff who may see a task may download its archived log."""
        log = self.admin_site.admin_view(self.log)
        return [path("<uuid:key>/log/", log, name=LOG_URL), *super().get_urls()]

    def log(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Answer with a task's log, compressed as its archive has it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return OpenedFileResponse(request, open_log(key))
        except LookupError as error:
            raise Http404(*error.args) from None

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Allow it to users with the permission to change tasks."""
        return request.user.has_perm("a2a_app.change_task")

    @admin.action(description="Cancel selected tasks", permissions=["cancel"])
    def cancel_tasks(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Cancel each task as CancelTask does, and show the reason of each refusal."""
        canceled = 0
        for task in queryset:
            try:
                async_to_sync(_cancel)(task)
            except protocol.A2AError as error:
                self.message_user(request, f"{task.pk}: {error.message}", messages.WARNING)
            except AgentNotFoundError:
                text = f"{task.pk}: there is no agent {task.agent!r} any more."
                self.message_user(request, text, messages.WARNING)
            else:
                self.log_change(request, task, "Canceled.")
                record(
                    SecurityEvent.TASK_CANCELED,
                    owner=task.owner,
                    agent=task.agent,
                    address=request.META.get("REMOTE_ADDR", ""),
                    actor=name_of_user(request.user.pk),
                    task=str(task.pk),
                )
                canceled += 1
        if canceled:
            self.message_user(request, f"Canceled: {canceled}.", messages.SUCCESS)


@admin.register(models.Context)
class ContextAdmin(ReadOnlyAdmin):
    """Conversations, with the state that agents remember."""

    list_display = ("context_id", "agent", "owner", "created_at")
    list_filter = (AgentFilter,)
    search_fields = ("context_id__exact",)
    search_help_text = "A contextId, in full."
    fields = ("context_id", "agent", "owner", "created_at", "version", "state")


@admin.register(models.Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs, newest first."""

    list_display = ("__str__", "worker", "started_at", "ended_at", "lease_until", "outcome")
    list_filter = (OutcomeFilter,)
    fields = (
        "task", "message", "turn", "attempt", "worker", "created_at", "started_at", "lease_until",
        "ended_at", "outcome", "traceback", "metadata", "accepted_output_modes", "extensions",
    )  # fmt: skip  # read as two lines it is one list
    readonly_fields = ("traceback",)

    @admin.display(description="traceback")
    def traceback(self, run: models.Run) -> SafeString:
        """Show the traceback of the error that the agent raised."""
        return format_html("<pre>{}</pre>", run.error or "-")


def _contexts(context_id: str) -> "QuerySet[models.Context]":
    """Return conversations of a contextId, each of another owner or agent."""
    found = models.Context.objects.filter(context_id=context_id)
    return found.order_by("agent", "owner")[:SHOWN_CONVERSATIONS]


def _newest_tasks_of(context: models.Context) -> "QuerySet[models.Task, UUID]":
    """Return the ids of the newest tasks of a conversation."""
    tasks = models.Task.objects.filter(context=context).order_by("-status_at", "-pk")
    return tasks.values_list("pk", flat=True)[:SHOWN]


async def _cancel(task: models.Task) -> None:
    call = Call(registry.get(task.agent), Caller(task.owner))
    await cancel_task(call, protocol.CancelTaskRequest(id=str(task.pk)))


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _texts(parts: list[dict[str, Any]]) -> list[str]:
    return [_shortened(_text(part)) for part in parts]


def _text(part: dict[str, Any]) -> str:
    if "text" in part:
        return str(part["text"])
    if "raw" in part:
        name = part.get("filename", "a file")
        return (
            f"{name} ({part.get('mediaType', 'unknown type')}, {len(part['raw']) * 3 // 4} bytes)"
        )
    if part.get("url", "").startswith(SCHEME):
        return f"{part.get('filename', 'a file')} ({part.get('mediaType', 'unknown type')}, a file)"
    return str(part["url"]) if "url" in part else json.dumps(part.get("data"), ensure_ascii=False)


def _shortened(text: str) -> str:
    more = len(text) - SHOWN_CHARACTERS
    return f"{text[:SHOWN_CHARACTERS]}… and {more} characters more" if more > 0 else text


def _section(name: str, **context: Any) -> SafeString:
    return render_to_string(f"a2a_app/{name}.html", {**context, "limit": SHOWN})
