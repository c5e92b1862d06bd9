"""The filters of the list of tasks. What each of them reads has an index, or a bound."""

from collections import Counter
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from a2a_app import models
from a2a_app.admin.lists import newest
from a2a_app.admin.task_search import tasks_of_owner
from a2a_app.database.statements import Literal
from a2a_app.figures.stuck import Stuck, stuck_tasks
from a2a_app.models.owners import owner_in, tenant_of
from a2a_app.pages.states import words
from a2a_app.protocol import TaskState

# Of so many of the newest tasks the owners are offered, and so many of these.
SAMPLE, OFFERED = 200, 10


class StateFilter(admin.SimpleListFilter):
    """Filters by the state of tasks."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(s.value, words(s.value)) for s in TaskState if s is not TaskState.UNSPECIFIED]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the tasks in the chosen state."""
        chosen = [state.value for state in TaskState if state.value == self.value()]
        return queryset.filter(state=Literal(chosen[0])) if chosen else queryset


class StuckFilter(admin.SimpleListFilter):
    """Filters the tasks that do not go on though they should, by why that is."""

    title = _("stuck")
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Return the reasons."""
        return list(Stuck.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the tasks that do not go on for the chosen reason."""
        chosen = [why for why in Stuck if why == self.value()]
        return queryset.filter(pk__in=stuck_tasks(chosen[0])) if chosen else queryset


class OwnerFilter(admin.SimpleListFilter):
    """Filters by the owner. Those who own the newest tasks are offered, and whom the URL names."""

    title = _("owner")
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return owners."""
        return _offered(_owners_of_newest(request), self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the newest tasks that the chosen owner has with each agent."""
        owner = self.value()
        return queryset.filter(pk__in=tasks_of_owner(owner)) if owner else queryset


class TenantFilter(admin.SimpleListFilter):
    """Filters the newest tasks by their tenant, where there are tenants."""

    title = _("tenant")
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return tenants of the newest tasks."""
        tenants: Counter[str] = Counter()
        for owner, count in _owners_of_newest(request).items():
            tenants[tenant_of(owner)] += count
        return _offered(tenants, self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the newest tasks that are of the chosen tenant."""
        tenant = self.value()
        if not tenant or "/" in tenant:
            return queryset
        return newest(queryset).filter(owner__startswith=owner_in(tenant, ""))


def _owners_of_newest(request: Any) -> Counter[str]:
    """Return how many of the newest tasks each owner has. It is read once for a request."""
    if not hasattr(request, "a2a_owners"):
        owners = models.Task.objects.order_by("-pk").values_list("owner", flat=True)
        request.a2a_owners = Counter(owners[:SAMPLE])
    found: Counter[str] = request.a2a_owners
    return found


def _offered(counts: Counter[str], chosen: str | None) -> list[tuple[str, str]]:
    names = {name for name, _ in counts.most_common(OFFERED)} | {chosen or ""}
    return [(name, name) for name in sorted(names) if name]
