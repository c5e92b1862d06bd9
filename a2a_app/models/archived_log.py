"""ArchivedLog: where in an archive the log of a task is."""

from django.db import models

from a2a_app.models.archive import Archive
from a2a_app.models.task import Task


class ArchivedLog(models.Model):
    """The log of a task that has no events in the table any more, since an archive has them."""

    task = models.OneToOneField(
        Task, on_delete=models.CASCADE, primary_key=True, related_name="archived_log"
    )
    archive = models.ForeignKey(Archive, on_delete=models.PROTECT, related_name="logs")
    start = models.PositiveBigIntegerField(help_text="Its first byte in the file.")
    size = models.PositiveBigIntegerField(help_text="How many bytes, compressed.")

    def __str__(self) -> str:
        return str(self.task_id)
