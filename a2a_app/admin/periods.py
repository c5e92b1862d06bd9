"""Periods: filters by when something was begun, by the keys, which grow with time."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from a2a_app.database.values import first_key_at


class PeriodFilter(admin.SimpleListFilter):
    """Filters by when something was begun, by the keys, which grow with time."""

    title = gettext_lazy("time")
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the periods."""
        return [
            ("hour", _("Past hour")),
            ("today", _("Today")),
            ("yesterday", _("Yesterday")),
            ("week", _("Past 7 days")),
            ("month", _("This month")),
            ("last", _("Last month")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen period."""
        periods = {
            "hour": (timezone.now() - timedelta(hours=1), None),
            "today": (_midnight(), None),
            "yesterday": (_midnight(1), _midnight()),
            "week": (_midnight(6), None),
            "month": (_month(), None),
            "last": (_month(1), _month()),
        }
        begin, end = periods.get(self.value() or "", (None, None))
        if begin is not None:
            queryset = queryset.filter(pk__gte=first_key_at(begin))
        return queryset.filter(pk__lt=first_key_at(end)) if end is not None else queryset


def _midnight(days_ago: int = 0) -> datetime:
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days_ago)


def _month(ago: int = 0) -> datetime:
    first = _midnight().replace(day=1)
    return first if not ago else (first - timedelta(days=1)).replace(day=1)
