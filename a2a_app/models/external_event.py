"""ExternalEvent: something that happened elsewhere, for a turn that waits for it."""

from django.db import models

from a2a_app.database.values import VerbatimJSONField, new_key
from a2a_app.models.step import MAX_NAME
from a2a_app.models.task import Task


class ExternalEvent(models.Model):
    """What a project's code has sent to a task, kept until a turn of it waits for that."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="external_events", db_index=False
    )
    name = models.CharField(max_length=MAX_NAME)
    key = models.CharField(
        max_length=MAX_NAME, blank=True, help_text="By which it is known if it is sent again."
    )
    data = VerbatimJSONField(
        null=True, blank=True, help_text="An array of one value. Empty: a step has it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    taken_at = models.DateTimeField(
        null=True, blank=True, help_text="When a turn got it. Empty: none has yet."
    )

    class Meta:
        indexes = [
            models.Index(fields=["task", "name", "taken_at"], name="a2a_external_event_of_task"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "key"],
                condition=~models.Q(key=""),
                name="a2a_external_event_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} {self.name}"
