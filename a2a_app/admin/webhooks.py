"""Webhooks in the admin: how many events each has got, and whether it fails."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from django.views.decorators.http import require_POST

from a2a_app import models
from a2a_app.admin.actions import Action, perform_action
from a2a_app.admin.lists import EmptyFilter, OfTasksAdmin
from a2a_app.admin.staff import added, changed, perform
from a2a_app.pages.states import toned
from a2a_app.pages.webhook import origin_of, state_of
from a2a_app.push.deliverer import send_test
from a2a_app.push.sender import NotDeliveredError
from a2a_app.store import deliveries

PREFIX = "a2a_app_webhook_"
"""With what the names of the URLs begin to which a webhook's page leads."""
# What the history of a webhook says: "Added … “…”." with its host or the fault, and "Changed …".
ACCEPTED, FAILED = gettext_noop("accepted test"), gettext_noop("failed test")
AGAIN = gettext_noop("next delivery to now")


class GivenUpFilter(EmptyFilter):
    """Filters by whether a webhook was given up."""

    title = gettext_lazy("given up")
    parameter_name = "dead_at"


class FailingFilter(EmptyFilter):
    """Filters by whether the last attempt failed."""

    title = gettext_lazy("failing")
    parameter_name = "failing_since"


@admin.register(models.PushNotificationConfig)
class PushNotificationConfigAdmin(OfTasksAdmin):
    """Webhooks, with the progress of each. Their secrets are not shown."""

    change_form_template = "a2a_app/webhook.html"
    list_display = ("__str__", "task_link", "host", "state_words", "progress", "failures")
    list_filter = (GivenUpFilter, FailingFilter)
    search_fields = ("host__exact",)
    search_help_text = gettext_lazy("A host, in full.")
    # Not its URL, whose end is often the only secret of a receiver, and not its secrets.
    fields = (
        "state_words", "last_answer", "target", "task", "config_id", "progress", "failures",
        "failing_since", "due_at", "dead_at", "scheme", "payload", "created_at",
    )  # fmt: skip  # as one list
    readonly_fields = ("state_words", "last_answer", "target", "progress")
    actions = ("send_again",)

    @admin.display(description=gettext_lazy("delivered"))
    def progress(self, row: models.PushNotificationConfig) -> str:
        """Return how many events the webhook has got, of how many."""
        return _("%(delivered)d of %(announced)d") % {
            "delivered": row.delivered,
            "announced": row.announced,
        }

    @admin.display(description=gettext_lazy("state"))
    def state_words(self, row: models.PushNotificationConfig) -> SafeString:
        """Return how it does, in words, with a colour."""
        state = state_of(row)
        return toned(state.tone, state.words)

    @admin.display(description=gettext_lazy("last answer"))
    def last_answer(self, row: models.PushNotificationConfig) -> str:
        """Return why the last request failed, if it did."""
        return state_of(row).answer

    @admin.display(description=gettext_lazy("target"))
    def target(self, row: models.PushNotificationConfig) -> str:
        """Return where it is: the beginning of its URL."""
        return origin_of(row.url)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Allow it to users with the permission to change webhooks."""
        return request.user.has_perm("a2a_app.change_pushnotificationconfig")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show a webhook, with what may be done with it."""
        row: models.PushNotificationConfig = kwargs["obj"]
        may_send = self.has_resend_permission(request)
        urls = {
            f"{name}_url": reverse(f"admin:{PREFIX}{name}", args=[row.pk]) for name in self._views()
        }
        more = {
            "title": _("Webhook at %(host)s") % {"host": row.host},
            "subtitle": None,
            "may_test": may_send,
            "may_resend": may_send and row.failing_since is not None,
        }
        return super().render_change_form(request, {**context, **urls, **more}, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        """Add the URLs of the buttons."""
        views = [
            path(f"<uuid:key>/{name}/", self.admin_site.admin_view(view), name=PREFIX + name)
            for name, view in self._views().items()
        ]
        return [*views, *super().get_urls()]

    def _views(self) -> dict[str, Callable[..., HttpResponse]]:
        return {"test": require_POST(self.test), "resend": require_POST(self.resend)}

    def _row(self, request: HttpRequest, key: UUID) -> models.PushNotificationConfig:
        """Return a webhook that staff may see and send to."""
        row = get_object_or_404(models.PushNotificationConfig, pk=key)
        if not self.has_view_permission(request, row) or not self.has_resend_permission(request):
            raise PermissionDenied
        return row

    def test(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Send the webhook its task as it is now, and tell what came of it."""
        row = self._row(request, key)
        try:
            perform(request, send_test(row.pk))
        except NotDeliveredError as failure:
            self.message_user(request, str(failure), messages.WARNING)
            self.log_change(request, row, added(FAILED, str(failure)))
        else:
            self.message_user(request, _("It has accepted a test."), messages.SUCCESS)
            self.log_change(request, row, added(ACCEPTED, row.host))
        return redirect("admin:a2a_app_pushnotificationconfig_change", row.pk)

    def resend(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Deliver to one webhook that fails or was given up."""
        row = self._row(request, key)
        reasons = self._resend(request, [row])
        for reason in reasons:
            self.message_user(request, reason, messages.WARNING)
        if not reasons:
            self.message_user(request, _("It is sent to again."), messages.SUCCESS)
        return redirect("admin:a2a_app_pushnotificationconfig_change", row.pk)

    @admin.action(description=gettext_lazy("Send again"), permissions=["resend"])
    def send_again(
        self, request: HttpRequest, queryset: QuerySet[models.PushNotificationConfig]
    ) -> HttpResponse | None:
        """Deliver to webhooks that fail or were given up, from where the delivery had stopped."""
        action = Action(
            "send_again",
            _("Send again"),
            _("Webhooks that fail or were given up get their events, from where that has stopped."),
            _("Sending again"),
            lambda rows: rows.exclude(failing_since=None),
            self._resend,
        )
        return perform_action(self, request, queryset, action)

    def _resend(self, request: HttpRequest, rows: list[models.PushNotificationConfig]) -> list[str]:
        chosen = models.PushNotificationConfig.objects.filter(pk__in=[row.pk for row in rows])
        count = deliveries.resend(chosen)
        for row in rows:
            self.log_change(request, row, changed(AGAIN))
        return [_("It does not fail any more.")] * (len(rows) - count)
