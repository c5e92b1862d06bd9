"""Limits in the admin: whom one has refused, how much they have, and what was spent each day."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from a2a_app import models
from a2a_app.admin.lists import CheckedChangeList, ReadOnlyAdmin, amount, newest
from a2a_app.database.values import EPOCH
from a2a_app.models.spending import SpenderKind
from a2a_app.store.budgets import Spender, State, states_of
from a2a_app.store.quota import stored_by, usage_of


class RefusedChangeList(CheckedChangeList):
    """A list in the order in which owners were refused, with what each has stored."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the order of the index: who was refused last comes first."""
        return ["-refused_at"]

    def get_results(self, request: HttpRequest) -> None:
        """Read what all owners of the page have stored by one query."""
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        stored = stored_by([row.owner for row in self.result_list])
        for row in self.result_list:
            row.all_stored = stored.get(row.owner, 0)


@admin.register(models.StoredBytes)
class StoredBytesAdmin(ReadOnlyAdmin):
    """Owners that a limit has refused, and how much each has now."""

    list_display = ("__str__", "refused_by", "refused_at", "stored_in_all")
    search_fields = ("owner__exact",)
    search_help_text = gettext_lazy("An owner, in full.")
    fields = ("owner", "refused_by", "refused_at", "stored_now", "turns_now", "budgets_now")
    readonly_fields = ("stored_now", "turns_now", "budgets_now")

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.StoredBytes]:
        """Leave out owners that no limit has refused."""
        # A time after it is not null, and so is found in an index on SQLite.
        return super().get_queryset(request).filter(refused_at__gt=EPOCH)

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return RefusedChangeList

    @admin.display(description=gettext_lazy("stored"))
    def stored_in_all(self, row: Any) -> str:
        """Return what the owner has stored, as the list has read it."""
        return filesizeformat(row.all_stored)

    @admin.display(description=gettext_lazy("stored"))
    def stored_now(self, row: models.StoredBytes) -> str:
        """Return what the owner has stored."""
        return filesizeformat(usage_of(row.owner).stored)

    @admin.display(description=gettext_lazy("turns"))
    def turns_now(self, row: models.StoredBytes) -> str:
        """Return how many turns of the owner are worked on, and how many wait."""
        usage = usage_of(row.owner)
        return _("%(running)d running, %(waiting)d waiting") % {
            "running": usage.running,
            "waiting": usage.waiting,
        }

    @admin.display(description=gettext_lazy("budgets"))
    def budgets_now(self, row: models.StoredBytes) -> str:
        """Return how the budgets stand that the owner has by itself."""
        states = states_of(Spender(row.owner, ""), per=SpenderKind.CALLER)
        return format_html_join("", "<div>{}</div>", [(_described(each),) for each in states])


def _described(state: State) -> str:
    budget = state.budget
    unit = _("tokens") if budget.unit == "tokens" else budget.currency
    spent, limit = (f"{Decimal(each).normalize():,f}" for each in (state.spent, state.limit))
    said = (
        _("%(name)s: %(spent)s of %(limit)s %(unit)s, used up")
        if state.is_used_up
        else _("%(name)s: %(spent)s of %(limit)s %(unit)s")
    )
    return said % {"name": budget.name, "spent": spent, "limit": limit, "unit": unit}


class SpenderFilter(admin.SimpleListFilter):
    """Filters the newest rows by whose sums they are."""

    title = gettext_lazy("sums")
    parameter_name = "per"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the kinds of spenders."""
        return [(kind.value, _("By %(kind)s") % {"kind": kind.label}) for kind in SpenderKind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen kind."""
        return newest(queryset).filter(per=self.value()) if self.value() else queryset


@admin.register(models.Spending)
class SpendingAdmin(ReadOnlyAdmin):
    """What was used of language models each day, newest first."""

    list_display = ("day", "per", "spender", "agent", "tokens", "costs", "currency")
    list_filter = (SpenderFilter,)
    search_fields = ("spender__exact",)
    search_help_text = gettext_lazy(
        "An owner, the key of a tenant or the slug of an agent, in full."
    )

    @admin.display(description=gettext_lazy("cost"))
    def costs(self, row: models.Spending) -> str | None:
        """Return what they have cost, without the zeros at its end."""
        return amount(row.cost)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for a whole name, by the index."""
        term = search_term.strip()
        # The kinds are named, since the index begins with them.
        found = {"per__in": SpenderKind.values, "spender": term} if term else {}
        return queryset.filter(**found), False
