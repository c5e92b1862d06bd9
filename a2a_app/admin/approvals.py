"""Approvals in the admin: what agents have asked people, and what was decided."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from a2a_app import models
from a2a_app.admin.lists import OfTasksAdmin
from a2a_app.models.approval import Ending


@admin.register(models.Approval)
class ApprovalAdmin(OfTasksAdmin):
    """What agents have asked people, newest first, and what was decided."""

    change_form_template = "a2a_app/approval.html"
    list_display = ("__str__", "task_link", "permission", "created_at", "decision", "ended_at")
    list_select_related = ("decided_by",)
    list_defer = ("data",)
    exclude = ("digest", "number")

    @admin.display(description=gettext_lazy("decision"), empty_value="-")
    def decision(self, approval: models.Approval) -> str:
        """Return what was decided and by whom, or how it ended otherwise; empty: it is open."""
        if approval.ending != Ending.DECIDED:
            return str(Ending(approval.ending).label) if approval.ending else ""
        who = str(approval.decided_by or approval.get_decided_as_display())
        return _("%(choice)s (%(who)s)") % {"choice": approval.choice, "who": who}

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a question to those who may view approvals, with the way to the form for it.

        Those who may do no more than decide it are led to the form.
        """
        asked = self.get_object(request, object_id)
        form = reverse("admin:a2a_app_waitingtask_change", args=[asked.task_id]) if asked else ""
        if not self.has_view_permission(request):
            if not (asked and asked.permission and request.user.has_perm(asked.permission)):
                raise PermissionDenied
            return HttpResponseRedirect(form)
        may = (
            asked is not None
            and asked.ended_at is None
            and request.user.has_perm(asked.permission or "a2a_app.answer_task")
        )
        more = {**(extra_context or {}), "answer_url": form if may else ""}
        return super().change_view(request, object_id, form_url, more)
