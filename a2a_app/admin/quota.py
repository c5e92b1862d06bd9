"""Owners at their limits in the admin: whom a limit has refused, and how much they have."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from a2a_app import models
from a2a_app.admin.lists import CheckedChangeList, ReadOnlyAdmin
from a2a_app.database.values import EPOCH
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
    search_help_text = "An owner, in full."
    fields = ("owner", "refused_by", "refused_at", "stored_now", "turns_now")
    readonly_fields = ("stored_now", "turns_now")

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.StoredBytes]:
        """Leave out owners that no limit has refused."""
        # A time after it is not null, and so is found in an index on SQLite.
        return super().get_queryset(request).filter(refused_at__gt=EPOCH)

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return RefusedChangeList

    @admin.display(description="stored")
    def stored_in_all(self, row: Any) -> str:
        """Return what the owner has stored, as the list has read it."""
        return filesizeformat(row.all_stored)

    @admin.display(description="stored")
    def stored_now(self, row: models.StoredBytes) -> str:
        """Return what the owner has stored."""
        return filesizeformat(usage_of(row.owner).stored)

    @admin.display(description="turns")
    def turns_now(self, row: models.StoredBytes) -> str:
        """Return how many turns of the owner are worked on, and how many wait."""
        usage = usage_of(row.owner)
        return f"{usage.running} running, {usage.waiting} waiting"
