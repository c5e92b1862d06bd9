"""Conversations in the admin: their tasks, and what was said in them."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from a2a_app import models
from a2a_app.admin.lists import AgentFilter, ReadOnlyAdmin
from a2a_app.pages.contents import ANSWER_PART_URL
from a2a_app.pages.context import read_context_page
from a2a_app.pages.responses import part_response
from a2a_app.pages.task import may_view


@admin.register(models.Context)
class ContextAdmin(ReadOnlyAdmin):
    """Conversations, newest first, with the state that agents remember."""

    change_form_template = "a2a_app/context.html"
    list_display = ("context_id", "agent", "owner", "created_at")
    list_filter = (AgentFilter,)
    list_defer = ("state",)
    search_fields = ("context_id__exact",)
    search_help_text = gettext_lazy("A contextId, in full.")
    # The page is a template of its own, which shows no fields.
    fields = ("context_id",)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show a conversation."""
        page = read_context_page(request, kwargs["obj"])
        more = {"title": _("Conversation"), "subtitle": None, "page": page}
        return super().render_change_form(request, {**context, **more}, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        """Add the URL of the parts of answers without a task."""
        view = self.admin_site.admin_view(self.part)
        url = path(
            "<uuid:key>/parts/<str:kind>/<uuid:row>/<int:index>/", view, name=ANSWER_PART_URL
        )
        return [url, *super().get_urls()]

    def part(
        self, request: HttpRequest, key: UUID, kind: str, row: UUID, index: int
    ) -> HttpResponseBase:
        """Answer with a part of a message without a task."""
        context = get_object_or_404(models.Context, pk=key)
        if not self.has_view_permission(request, context) or not may_view(request, "message"):
            raise PermissionDenied
        if kind != "message":
            raise Http404("A conversation has messages only.")
        return part_response(request, context, kind, row, index)
