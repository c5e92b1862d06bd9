"""Tasks in the admin, with all that led to their state. Only operations change them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from a2a_app import models, protocol
from a2a_app.admin.lists import AgentFilter, ReadOnlyAdmin, newest, short
from a2a_app.admin.periods import PeriodFilter
from a2a_app.admin.task_actions import TaskActions, reason_of
from a2a_app.admin.task_filters import OwnerFilter, StateFilter, StuckFilter, TenantFilter
from a2a_app.admin.task_search import find_tasks, key_in
from a2a_app.admin.waiting import answer_url
from a2a_app.agents import AgentNotFoundError
from a2a_app.bindings.files import OpenedFileResponse
from a2a_app.models.run import Outcome
from a2a_app.pages.contents import PART_URL
from a2a_app.pages.conversation import read_beginnings
from a2a_app.pages.live import Reader, live_response
from a2a_app.pages.responses import events_response, part_response
from a2a_app.pages.states import badge, verbatim
from a2a_app.pages.task import duration_of, may_view, number_in, owner_url, read_task_page
from a2a_app.store.archives import open_log

PREFIX = "a2a_app_task_"
"""With what the names of the URLs begin to which a task's page leads."""
# A failure without a task is stored by the next sweep only, and for a while.
_NOT_FOUND = gettext_lazy(
    "No task has this id. If it is the reference of a failure, the failure was one without a task: "
    "look for the reference in the log of the servers."
)
_FAILED = gettext_lazy("This is the reference of a failure without a task: {}.")
# How many characters of a request are shown.
WORDS = 60


class OutcomeFilter(admin.SimpleListFilter):
    """Filters the newest runs by how they ended."""

    title = gettext_lazy("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        """Return the outcomes."""
        return list(Outcome.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the newest runs that ended as chosen."""
        return newest(queryset).filter(outcome=self.value()) if self.value() else queryset


@admin.register(models.Task)
class TaskAdmin(TaskActions):
    """Tasks, newest first, and all that happened to each."""

    change_form_template = "a2a_app/task.html"
    list_display: tuple[str, ...] = (
        "short_id", "agent", "state_words", "request", "owner_link", "status_at", "duration",
        "conversation",
    )  # fmt: skip  # read as two lines it is one list
    # First those that have an index: the last ones look through what these have found.
    list_filter = (StateFilter, PeriodFilter, StuckFilter, OwnerFilter, AgentFilter, TenantFilter)
    search_fields = ("id",)  # shows the search box; get_search_results does the search
    search_help_text = gettext_lazy(
        "The id of a task or its end, or in full: a contextId, an owner, the id of what belongs to "
        "a task, or the reference that a client was given."
    )
    # The page is a template of its own, which shows no fields.
    fields = ("id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Task]:
        """Read tasks together with the rows to which each view of them refers."""
        # What an agent remembers of the conversation may be long, and is on the page of that.
        rows = super().get_queryset(request).select_related("context", "user")
        return rows.defer("context__state")

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list, with the beginnings of the requests and the links of its users."""
        listed = super().get_changelist_instance(request)
        may_see, may_see_contexts = may_view(request, "message"), may_view(request, "context")
        begun = read_beginnings([task.pk for task in listed.result_list]) if may_see else {}
        for task in listed.result_list:
            task.words = begun.get(task.pk)
            task.owner_url = owner_url(request, task)
            task.may_see_context = may_see_contexts
        if request.method == "GET" and not listed.result_count:
            self._tell_of_failure(request, key_in(listed.query))
        return listed

    def _tell_of_failure(self, request: HttpRequest, reference: UUID | None) -> None:
        """Tell where a failure without a task is found whose reference was searched for."""
        if reference is None:
            return
        text: Any = _NOT_FOUND
        failures = models.Failure.objects.filter(pk=reference)
        if may_view(request, "failure") and failures.exists():
            url = reverse("admin:a2a_app_failure_change", args=[reference])
            text = format_html(str(_FAILED), format_html('<a href="{}">{}</a>', url, reference))
        self.message_user(request, text, messages.INFO)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Return the columns: the words of requests are for those who may see messages."""
        may_see = may_view(request, "message")
        return tuple(each for each in self.list_display if may_see or each != "request")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for ids and their ends, since a search for any part would read every row."""
        if not search_term.strip():
            return queryset, False
        return queryset.filter(pk__in=find_tasks(search_term)), False

    @admin.display(description=gettext_lazy("id"))
    def short_id(self, task: models.Task) -> SafeString:
        """Return the end of the id."""
        return short(task.pk)

    @admin.display(description=gettext_lazy("state"))
    def state_words(self, task: models.Task) -> SafeString:
        """Return the state in words, with its colour."""
        return badge(task.state)

    @admin.display(description=gettext_lazy("request"))
    def request(self, task: Any) -> str | None:
        """Return the first words of its first message, if that begins with a text."""
        return Truncator(task.words).chars(WORDS) if task.words else None

    @admin.display(description=gettext_lazy("owner"))
    def owner_link(self, task: Any) -> str | SafeString:
        """Return the owner, with a link to its user for those who may see that."""
        if not task.owner_url:
            return str(task.owner)
        return format_html('<a href="{}">{}</a>', task.owner_url, task.owner)

    @admin.display(description=gettext_lazy("duration"))
    def duration(self, task: models.Task) -> str:
        """Return how long it took, or how long it has been there where it goes on."""
        return duration_of(task)

    @admin.display(description=gettext_lazy("context"))
    def conversation(self, task: Any) -> str | SafeString:
        """Return the contextId that the client uses, with a link for those who may follow it."""
        if not task.may_see_context:
            return str(task.context)
        url = reverse("admin:a2a_app_context_change", args=[task.context_id])
        return format_html('<a href="{}">{}</a>', url, task.context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show a task as one story, with what may be done with it."""
        task: models.Task = kwargs["obj"]
        page = read_task_page(request, task)
        lines = page.timeline.lines if page.timeline else []
        more = {
            "title": _("Task %(id)s") % {"id": f"…{task.pk.hex[-12:]}"},
            "subtitle": None,
            "page": page,
            "badge": badge(task.state),
            "lines": [(line, badge(line.state) if line.state else "") for line in lines],
            "may_rerun": page.is_over and self.has_rerun_permission(request),
            "answer_url": answer_url(request, task),
            "may_cancel": not page.is_over and self.has_cancel_permission(request),
            **{f"{name}_url": self._url_of(task, name) for name in self._views()},
        }
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        """Add the URLs of what a task's page leads to, for staff who may see the task."""
        views = [
            path(f"<uuid:key>/{name}/", self.admin_site.admin_view(view), name=PREFIX + name)
            for name, view in self._views().items()
        ]
        part = path(
            "<uuid:key>/parts/<str:kind>/<uuid:row>/<int:index>/",
            self.admin_site.admin_view(self.part),
            name=PART_URL,
        )
        return [*views, part, *super().get_urls()]

    def _views(self) -> dict[str, Callable[..., HttpResponseBase]]:
        return {
            "log": self.log,
            "events": self.events,
            "live": self.live,
            "cancel": require_POST(self.cancel),
            "rerun": require_POST(self.rerun),
        }

    def _url_of(self, task: models.Task, name: str) -> str:
        return reverse(f"admin:{PREFIX}{name}", args=[task.pk])

    def _task(self, request: HttpRequest, key: UUID, model: str = "") -> models.Task:
        """Return a task that staff may see, if it may see the rows of a model too."""
        task: models.Task = get_object_or_404(self.get_queryset(request), pk=key)
        if not self.has_view_permission(request, task) or (model and not may_view(request, model)):
            raise PermissionDenied
        return task

    def log(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Answer with a task's log, compressed as its archive has it."""
        self._task(request, key, "event")
        try:
            return OpenedFileResponse(request, open_log(key))
        except LookupError as error:
            raise Http404(*error.args) from None

    def events(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Answer with events of a task's log."""
        task = self._task(request, key, "event")
        first, last = number_in(request, "from") or 1, number_in(request, "to") or task.seq
        return events_response(task, first, last)

    def part(
        self, request: HttpRequest, key: UUID, kind: str, row: UUID, index: int
    ) -> HttpResponseBase:
        """Answer with a part of a message or of an artifact."""
        return part_response(request, self._task(request, key, kind), kind, row, index)

    def live(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Answer with a stream of what happens to a task."""
        task = self._task(request, key)
        shows_texts = may_view(request, "artifact")

        def may_see(again: HttpRequest) -> bool:
            may = self.admin_site.has_permission(again) and self.has_view_permission(again, task)
            return may and (not shows_texts or may_view(again, "artifact"))

        return live_response(Reader(request, may_see, shows_texts), task)

    def cancel(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Cancel one task, and show its page again."""
        task = self._task(request, key)
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        for reason in self.cancel_each(request, [task]):
            self.message_user(request, reason, messages.WARNING)
        return redirect("admin:a2a_app_task_change", task.pk)

    def rerun(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Run one task again, and show its page again."""
        task = self._task(request, key)
        if not self.has_rerun_permission(request):
            raise PermissionDenied
        try:
            new = self.rerun_one(request, task)
        except (protocol.A2AError, AgentNotFoundError) as error:
            self.message_user(request, reason_of(error, task), messages.WARNING)
        else:
            text = _("It runs again, as a new task.")
            page = reverse("admin:a2a_app_task_change", args=[new]) if new else ""
            said = format_html('<a href="{}">{}</a>', page, text) if page else text
            self.message_user(request, said, messages.SUCCESS)
        return redirect("admin:a2a_app_task_change", task.pk)


@admin.register(models.Run)
class RunAdmin(ReadOnlyAdmin):
    """Runs, newest first."""

    list_display = (
        "__str__", "revision", "worker", "started_at", "ended_at", "lease_until", "outcome",
    )  # fmt: skip  # read as two lines it is one list
    list_filter = (OutcomeFilter,)
    list_defer = ("metadata", "handed_on", "error")
    fields = (
        "task", "message", "turn", "attempt", "revision", "worker", "created_at", "started_at",
        "lease_until", "ended_at", "outcome", "traceback", "metadata", "accepted_output_modes",
        "extensions",
    )  # fmt: skip  # read as two lines it is one list
    readonly_fields = ("traceback",)

    @admin.display(description=gettext_lazy("traceback"))
    def traceback(self, run: models.Run) -> SafeString:
        """Show the traceback of the error that the agent raised."""
        return verbatim(run.error or "-")
