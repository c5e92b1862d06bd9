"""Failures without a task in the admin, each found by the reference that its client was given."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy

from a2a_app import models
from a2a_app.admin.lists import AgentFilter, ReadOnlyAdmin
from a2a_app.admin.task_search import key_in
from a2a_app.pages.states import verbatim

# How many characters of the error a list shows.
WORDS = 80


@admin.register(models.Failure)
class FailureAdmin(ReadOnlyAdmin):
    """Failures, newest first."""

    list_display = ("created_at", "agent", "operation", "last_line", "id")
    list_filter = (AgentFilter,)
    search_fields = ("id",)  # shows the search box; get_search_results does the search
    search_help_text = gettext_lazy("The reference that a client was given.")
    fields = ("id", "created_at", "agent", "operation", "traceback")
    readonly_fields = ("traceback",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for a reference, also at the end of the sentence that a client got."""
        if not search_term.strip():
            return queryset, False
        return queryset.filter(pk=key_in(search_term.strip())), False

    @admin.display(description=gettext_lazy("error"))
    def last_line(self, failure: models.Failure) -> str:
        """Return what was raised, without how it came to it."""
        return Truncator(failure.error.rstrip().rpartition("\n")[2]).chars(WORDS)

    @admin.display(description=gettext_lazy("traceback"))
    def traceback(self, failure: models.Failure) -> SafeString:
        """Show the traceback."""
        return verbatim(failure.error)
