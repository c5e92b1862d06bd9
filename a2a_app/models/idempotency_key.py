"""IdempotencyKey: the name by which a message is known when it is sent again."""

from django.db import models

from a2a_app.database.values import new_key
from a2a_app.models.message import Message
from a2a_app.models.task import Task


class IdempotencyKey(models.Model):
    """A message of one owner to one agent, and its outcome: a turn of a task, or an answer.

    It is stored in the same transaction as that outcome. So of two messages with one key that come
    at the same time, one is refused.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    agent = models.CharField(max_length=100)
    owner = models.CharField(max_length=255, blank=True)
    key = models.CharField(
        max_length=300, help_text="Where it comes from, a header or the messageId, and its value."
    )
    digest = models.CharField(max_length=64, help_text="Of the message's content.")
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    turn = models.PositiveIntegerField(
        default=0, help_text="The task's turn that the message began."
    )
    message = models.ForeignKey(
        Message,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        # Each deletion of a message would be checked, and hardly any message has a key.
        db_constraint=False,
        help_text="The agent's answer, where there is no task.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(
        db_index=True, help_text="From then on the key may be used for another message."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "owner", "key"], name="a2a_key_of_owner"),
        ]

    def __str__(self) -> str:
        return self.key
