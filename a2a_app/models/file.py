"""File: bytes too large for a row."""

from django.db import models

from a2a_app.models.context import Context
from a2a_app.models.keys import new_key
from a2a_app.models.task import Task


class File(models.Model):
    """The bytes of a part (section 4.1.6), which are in a storage; the part names this row.

    The row is there before the bytes, without a context, and gets one with the message or the
    artifact whose part it is: so none of the storage's files is without a row. Where a part is
    passed on to another task, several rows have the same bytes; with the last one they go.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    context = models.ForeignKey(
        Context,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="files",
        db_index=False,
        help_text="Whose it is; empty: it is being stored.",
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, null=True, blank=True, related_name="files"
    )
    storage = models.CharField(
        max_length=100, blank=True, help_text="Its alias in STORAGES; empty: the default folder."
    )
    name = models.CharField(max_length=255, db_index=True, help_text="Its name in the storage.")
    filename = models.TextField(blank=True, help_text="As the part says.")
    media_type = models.TextField(blank=True, help_text="As the part says.")
    size = models.PositiveBigIntegerField(help_text="How many bytes.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["context", "created_at"], name="a2a_file_of_context"),
        ]

    def __str__(self) -> str:
        return self.filename or str(self.id)
