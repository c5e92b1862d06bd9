"""Files in the admin, with links to download them."""

from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from a2a_app import models
from a2a_app.admin.lists import OfTasksAdmin
from a2a_app.bindings.files import OpenedFileResponse
from a2a_app.files.rows import open_row
from a2a_app.pages.contents import FILE_URL


@admin.register(models.File)
class FileAdmin(OfTasksAdmin):
    """Files, newest first. Users who may view a file may also download it."""

    list_display = ("__str__", "task_link", "media_type", "size", "created_at")
    fields = (
        "download", "filename", "media_type", "size", "task", "context", "storage", "name",
        "created_at",
    )  # fmt: skip  # read as two lines it is one list
    readonly_fields = ("download",)

    @admin.display(description=gettext_lazy("content"))
    def download(self, row: models.File) -> SafeString:
        """Return a link that downloads the file."""
        url = reverse(f"admin:{FILE_URL}", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, gettext("Download"))

    def get_urls(self) -> list[URLPattern]:
        """Add the URL that serves the bytes."""
        content = self.admin_site.admin_view(self.content)
        return [path("<uuid:key>/content/", content, name=FILE_URL), *super().get_urls()]

    def content(self, request: HttpRequest, key: UUID) -> HttpResponseBase:
        """Answer with the bytes of a file, whoever owns it."""
        row = get_object_or_404(models.File, pk=key)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        try:
            return OpenedFileResponse(request, open_row(row))
        except LookupError:
            raise Http404("The storage has lost the file.") from None
