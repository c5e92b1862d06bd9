"""Message: something said by the client or the agent."""

from django.db import models

from a2a_app.database.values import VerbatimJSONField, new_key
from a2a_app.models.context import Context
from a2a_app.models.task import Task
from a2a_app.protocol import Role


class Message(models.Model):
    """A message (section 4.1.4), in a task, or in a context where an agent answers without a task.

    The message of a task's status is a row here too. It is history once a newer status has come.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    context = models.ForeignKey(
        Context, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    task = models.ForeignKey(
        Task,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="messages",
        db_index=False,
    )
    seq = models.PositiveBigIntegerField(default=0, help_text="The task's event that it came with.")
    message_id = models.CharField(
        max_length=255, help_text="The id that its sender gave it; it may repeat."
    )
    role = models.CharField(max_length=16, choices=[(r.value, r.name) for r in Role])
    parts = VerbatimJSONField()
    metadata = VerbatimJSONField(default=dict, blank=True)
    extensions = VerbatimJSONField(default=list, blank=True)
    reference_task_ids = VerbatimJSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["task", "seq"], name="a2a_message_history"),
            models.Index(fields=["context", "id"], name="a2a_message_of_context"),
        ]

    def __str__(self) -> str:
        return self.message_id
