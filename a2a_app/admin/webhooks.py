"""Webhooks in the admin: how far each has come, and whether it fails."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from a2a_app import models
from a2a_app.admin.tasks import ReadOnlyAdmin
from a2a_app.store import webhooks


@admin.register(models.PushNotificationConfig)
class PushNotificationConfigAdmin(ReadOnlyAdmin):
    """Webhooks, and how far each has come; what only the webhook may know is not shown."""

    list_display = ("__str__", "task", "host", "came_to", "failures", "due_at", "dead_at")
    list_filter = (
        ("dead_at", admin.EmptyFieldListFilter),
        ("failing_since", admin.EmptyFieldListFilter),
    )
    ordering = ("-id",)
    search_fields = ("=host",)
    exclude = ("secrets",)
    actions = ("send_again",)

    @admin.display(description="delivered")
    def came_to(self, row: models.PushNotificationConfig) -> str:
        """How many events it has got, of how many."""
        return f"{row.delivered} of {row.announced}"

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Let those send again who may change webhooks, were they to be changed here."""
        return request.user.has_perm("a2a_app.change_pushnotificationconfig")

    @admin.action(description="Send again", permissions=["resend"])
    def send_again(
        self, request: HttpRequest, queryset: QuerySet[models.PushNotificationConfig]
    ) -> None:
        """Deliver to those that fail or were given up, from where they had come to."""
        count = webhooks.resend(queryset)
        self.message_user(request, f"Sending again: {count}.", messages.SUCCESS)
