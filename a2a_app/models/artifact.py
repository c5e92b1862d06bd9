"""Artifact: something that a task produced."""

from django.db import models

from a2a_app.database.values import VerbatimJSONField, new_key
from a2a_app.models.task import Task


class Artifact(models.Model):
    """An artifact of a task (section 4.1.7).

    While it is open, its chunks are in the log only. Its parts are stored here once, when its last
    chunk or the end of the task closes it. So a chunk costs the same however many came before.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="artifacts", db_index=False
    )
    artifact_id = models.CharField(max_length=255)
    name = models.TextField(blank=True)
    description = models.TextField(blank=True)
    parts = VerbatimJSONField(default=list, blank=True)
    metadata = VerbatimJSONField(default=dict, blank=True)
    extensions = VerbatimJSONField(default=list, blank=True)
    first_seq = models.PositiveBigIntegerField(help_text="The event that began it.")
    last_seq = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="The event that closed it; empty while it is open."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "artifact_id"], name="a2a_artifact_of_task"),
        ]

    def __str__(self) -> str:
        return self.name or self.artifact_id
