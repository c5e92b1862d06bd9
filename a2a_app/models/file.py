"""File: bytes that are too large for a row."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import new_key
from a2a_app.models.context import Context
from a2a_app.models.task import Task


class File(models.Model):
    """The bytes of a part (section 4.1.6). They are in a storage, and the part names this row.

    The row is stored before the bytes, so that every file in the storage has a row. It gets its
    context when the message or the artifact with the part is stored. Where a part is passed on to
    another task, several rows have the same bytes, which are deleted with the last of the rows.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    context = models.ForeignKey(
        Context,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="files",
        db_index=False,
        help_text=_("The conversation it belongs to. Empty: it is being stored."),
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, null=True, blank=True, related_name="files"
    )
    storage = models.CharField(
        max_length=100,
        blank=True,
        help_text=_("Its alias in STORAGES. Empty: the default folder."),
    )
    name = models.CharField(max_length=255, db_index=True, help_text=_("Its name in the storage."))
    filename = models.TextField(blank=True, help_text=_("As the part says."))
    media_type = models.TextField(blank=True, help_text=_("As the part says."))
    size = models.PositiveBigIntegerField(help_text=_("How many bytes."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["context", "created_at"], name="a2a_file_of_context"),
        ]

    def __str__(self) -> str:
        return self.filename or str(self.id)
