"""Token usage in the admin: what turns have used of models, with sums of what is chosen."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from a2a_app import models
from a2a_app.admin import lists
from a2a_app.admin.lists import AgentFilter, KeyOrderedChangeList, OfTasksAdmin, amount, newest
from a2a_app.admin.periods import PeriodFilter

FIRST_KEY = UUID(int=0)
# How many sums a page shows.
SHOWN_SUMS = 50
# By what they may be.
GROUPS = {
    "model": gettext_lazy("Model"),
    "owner": gettext_lazy("Owner"),
    "agent": gettext_lazy("Agent"),
    "day": gettext_lazy("Day"),
}


class TokenUsageAgentFilter(AgentFilter):
    """Filters by agent, which has an index here."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen agent."""
        return queryset.filter(agent=self.value()) if self.value() else queryset


class GroupFilter(admin.SimpleListFilter):
    """Chooses what the sums are by, and filters nothing."""

    title = gettext_lazy("sums")
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return what they may be by, besides everything together."""
        return [(name, str(title)) for name, title in GROUPS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return all rows."""
        return queryset


class TokenUsageChangeList(KeyOrderedChangeList):
    """The list of usage, with the sums of the newest rows of what is chosen."""

    sums: Any = ()
    group = ""
    shown_sums, counted = SHOWN_SUMS, lists.COUNTED

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and the sums."""
        super().get_results(request)
        by = request.GET.get("by", "")
        self.group = str(GROUPS.get(by, ""))
        # By the index, also where there are so few that `newest` takes all.
        rows = newest(self.queryset.select_related(None)).filter(pk__gte=FIRST_KEY)
        rows = rows.annotate(day=TruncDate("created_at"))
        names = [by, "currency"] if self.group else ["currency"]
        sums = (
            rows.order_by()
            .values(*names)
            .annotate(
                rows=Count("pk"),
                read=Sum("input_tokens"),
                written=Sum("output_tokens"),
                spent=Sum("cost"),
            )
        )
        found = list(
            sums.order_by(F("spent").desc(nulls_last=True), "-read", *names)[: SHOWN_SUMS + 1]
        )
        self.sums = [
            {**each, "group": each.get(by, ""), "cost": amount(each["spent"])} for each in found
        ]


@admin.register(models.TokenUsage)
class TokenUsageAdmin(OfTasksAdmin):
    """What was used of language models, newest first."""

    change_list_template = "a2a_app/token_usage_list.html"
    list_display = (
        "created_at", "owner", "agent", "model", "input_tokens", "output_tokens", "costs",
        "currency", "task_link",
    )  # fmt: skip  # read as two lines it is one list
    list_filter = (PeriodFilter, TokenUsageAgentFilter, GroupFilter)
    search_fields = ("owner",)  # shows the search box; get_search_results does the search
    search_help_text = gettext_lazy("An owner or a model, in full.")

    @admin.display(description=gettext_lazy("cost"))
    def costs(self, row: models.TokenUsage) -> str | None:
        """Return what it has cost, without the zeros at its end."""
        return amount(row.cost)

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return TokenUsageChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for a whole owner, or else for a whole model."""
        term = search_term.strip()
        if not term:
            return queryset, False
        # In the order of the index, so that PostgreSQL does not look in the whole table.
        owned = models.TokenUsage.objects.filter(owner=term).order_by("owner", "pk")
        is_owner = owned.values_list("pk").first() is not None
        # Only one of the conditions has its index.
        rows = newest(queryset) if request.GET.get("agent") else queryset
        return rows.filter(**{"owner" if is_owner else "model": term}), False
