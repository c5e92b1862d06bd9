"""Webhooks in the admin: how many events each has got, and whether it fails."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from a2a_app import models
from a2a_app.admin.actions import Action, perform_action
from a2a_app.admin.lists import EmptyFilter, ReadOnlyAdmin
from a2a_app.store import deliveries


class GivenUpFilter(EmptyFilter):
    """Filters by whether a webhook was given up."""

    title = "given up"
    parameter_name = "dead_at"


class FailingFilter(EmptyFilter):
    """Filters by whether the last attempt failed."""

    title = "failing"
    parameter_name = "failing_since"


@admin.register(models.PushNotificationConfig)
class PushNotificationConfigAdmin(ReadOnlyAdmin):
    """Webhooks, with the progress of each. Their secrets are not shown."""

    # The key of the task, for which no row of it has to be read.
    list_display = ("__str__", "task_id", "host", "progress", "failures", "due_at", "dead_at")
    list_filter = (GivenUpFilter, FailingFilter)
    search_fields = ("host__exact",)
    search_help_text = "A host, in full."
    # A URL is often the only secret of a receiver: whoever knows it may send there.
    exclude = ("url", "secrets")
    actions = ("send_again",)

    @admin.display(description="delivered")
    def progress(self, row: models.PushNotificationConfig) -> str:
        """Return how many events the webhook has got, of how many."""
        return f"{row.delivered} of {row.announced}"

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Allow it to users with the permission to change webhooks."""
        return request.user.has_perm("a2a_app.change_pushnotificationconfig")

    @admin.action(description="Send again", permissions=["resend"])
    def send_again(
        self, request: HttpRequest, queryset: QuerySet[models.PushNotificationConfig]
    ) -> HttpResponse | None:
        """Deliver to webhooks that fail or were given up, from where the delivery had stopped."""
        action = Action(
            "send_again",
            "Send again",
            "Webhooks that fail or were given up get their events, from where that has stopped.",
            "Sending again",
            lambda rows: rows.exclude(failing_since=None),
            self._resend,
        )
        return perform_action(self, request, queryset, action)

    def _resend(self, request: HttpRequest, rows: list[models.PushNotificationConfig]) -> list[str]:
        chosen = models.PushNotificationConfig.objects.filter(pk__in=[row.pk for row in rows])
        count = deliveries.resend(chosen)
        for row in rows:
            self.log_change(request, row, "Sent again.")
        return ["It does not fail any more."] * (len(rows) - count)
