"""Lists of rows in the admin. What a page of them costs does not depend on how many rows there are.

Each is in the order of the key, newest first, which is the one order that every table has an index
for. It is counted, and looked through by filters that have no index, to its newest COUNTED rows.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_permission_codename
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from a2a_app.agents import registry
from a2a_app.protocol.scalars import make_storable

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    AnyPaginator = Paginator[Any]
else:
    ModelAdmin, AnyPaginator = admin.ModelAdmin, Paginator

COUNTED = 10_000


def newest(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the newest COUNTED of some rows, to which conditions without an index may be added.

    Args:
        rows: Rows whose conditions have an index that is in the order of the key.
    """
    keys = rows.order_by("-pk").values_list("pk", flat=True)
    oldest = keys[COUNTED - 1 : COUNTED].first()
    return rows.filter(pk__gte=oldest) if oldest is not None else rows


def amount(number: Decimal | None) -> str | None:
    """Return a number as people write it, without the zeros at its end; None: it is not known."""
    return None if number is None else number_format(number.normalize())


class CappedPaginator(AnyPaginator):
    """Paginates a table of any size. It counts to COUNTED, where its last page is."""

    @cached_property
    def count(self) -> int:
        """How many rows the pages show."""
        return min(self._counted, COUNTED)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than the pages show."""
        return self._counted > COUNTED

    @property
    def capped_at(self) -> int:
        """How many rows the pages show at most."""
        return COUNTED

    @cached_property
    def _counted(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        # In their order, which has an index. Without it, PostgreSQL might look for them anywhere.
        return rows[: COUNTED + 1].count()


class CheckedChangeList(ChangeList):
    """A list whose filters get only what every database can compare with."""

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        """Read a request, as Django's own class does.

        Raises:
            IncorrectLookupParameters: Its URL has the character NUL, or half of a surrogate pair.
                The admin answers with the whole list.
        """
        for name, values in request.GET.lists():
            if make_storable([name, *values]) != [name, *values]:
                raise IncorrectLookupParameters
        super().__init__(request, *args)

    def get_queryset(self, *args: Any, **options: Any) -> QuerySet[Any]:
        """Return the rows, without the fields in `list_defer`, which may be long."""
        rows = super().get_queryset(*args, **options)
        return rows.defer(*getattr(self.model_admin, "list_defer", ()))


class KeyOrderedChangeList(CheckedChangeList):
    """A list that stays in the order of the key, whatever its URL says."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Return the order of the key, newest first."""
        return ["-pk"]


class ReadOnlyAdmin(ModelAdmin):
    """The base of admins that only show rows."""

    actions_on_bottom = False
    list_per_page = 50
    ordering = ("-pk",)
    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    class Media:
        css = {"all": ["a2a_app/a2a.css"]}  # noqa: RUF012  # Django reads it and never changes it

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return KeyOrderedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse conditions that a URL adds to those of the filters, since they have no index."""
        filters = cast("Sequence[Any]", self.get_list_filter(request))
        return lookup in {each.parameter_name for each in filters}

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow it by the permission for the model, or by one for this row.

        A backend of the project's, such as django-guardian's, may know permissions for rows.
        Django's own knows none.
        """
        by_model = super().has_view_permission(request, obj)
        if by_model or obj is None:
            return by_model
        codename = get_permission_codename("view", self.opts)
        return bool(request.user.has_perm(f"{self.opts.app_label}.{codename}", obj))

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Refuse, since tasks come from clients."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse, since only the store changes a task (R1)."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse, since a task that is worked on must not vanish."""
        return False


def short(key: UUID) -> SafeString:
    """Return the end of a key. Its beginning is the time, which neighbours share."""
    return format_html('<span class="a2a-end" title="{}">…{}</span>', key, key.hex[-12:])


class OfTasksAdmin(ReadOnlyAdmin):
    """The base of admins of what belongs to tasks, whose lists lead to these."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the list, whose links to tasks are for those who may follow them."""
        listed = super().get_changelist_instance(request)
        may_follow = request.user.has_perm("a2a_app.view_task")
        for row in listed.result_list:
            row.may_see_task = may_follow
        return listed

    @admin.display(description=gettext_lazy("task"), empty_value="-")
    def task_link(self, row: Any) -> SafeString | None:
        """Return the end of the task's id, with a link to its page for those who may see that."""
        if row.task_id is None:
            return None
        end = short(row.task_id)
        if not row.may_see_task:
            return end
        url = reverse("admin:a2a_app_task_change", args=[row.task_id])
        return format_html('<a href="{}">{}</a>', url, end)


class AgentFilter(admin.SimpleListFilter):
    """Filters the newest rows by the project's agents.

    To find the agents in the table would read every row.
    """

    title = gettext_lazy("agent")
    parameter_name = "agent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the agents' slugs and names."""
        return sorted((agent.slug, agent.name) for agent in registry)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the newest rows that are of the chosen agent."""
        return newest(queryset).filter(agent=self.value()) if self.value() else queryset


class EmptyFilter(admin.SimpleListFilter):
    """Filters the newest rows by whether a field is empty."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the two choices."""
        return [("no", gettext("Yes")), ("yes", gettext("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return those of the newest rows whose field is as chosen."""
        if self.value() not in ("yes", "no"):
            return queryset
        empty = {f"{self.parameter_name}__isnull": self.value() == "yes"}
        return newest(queryset).filter(**empty)
