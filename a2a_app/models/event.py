"""Event: one line of a task's log."""

from django.db import models
from django.utils import timezone

from a2a_app.models.task import Task
from a2a_app.protocol import TaskState


class Event(models.Model):
    """One change of a task, as every stream shows it (section 3.2.3). It never changes."""

    pk = models.CompositePrimaryKey("task_id", "seq")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="events", db_index=False)
    seq = models.PositiveBigIntegerField(help_text="1, 2, 3… within the task, without gaps.")
    turn = models.PositiveIntegerField(help_text="The turn in which it was written.")
    state = models.CharField(
        max_length=32,
        choices=[(s.value, s.name) for s in TaskState],
        help_text="The task's state after this event.",
    )
    artifact_id = models.CharField(
        max_length=255, blank=True, help_text="The artifact, if this is a chunk of one."
    )
    body = models.TextField(help_text="The StreamResponse, as the JSON text that clients get.")
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.task_id} {self.seq}"
