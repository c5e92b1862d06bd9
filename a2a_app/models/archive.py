"""Archive: a file with the logs of many tasks."""

from django.db import models

from a2a_app.database.values import new_key


class Archive(models.Model):
    """A file in a storage that has the logs of many tasks, which are no longer in the table.

    The row is stored before the file and outlives it, so that no file is without a row.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    storage = models.CharField(
        max_length=100,
        blank=True,
        help_text="Its alias in STORAGES. Empty: the default folder.",
    )
    name = models.CharField(max_length=255, help_text="Its name in the storage.")
    size = models.PositiveBigIntegerField(help_text="How many bytes.")
    tasks = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="How many tasks it has logs of, deleted ones too. Empty: it is being stored.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name
