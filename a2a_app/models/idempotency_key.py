"""IdempotencyKey: what a client names a sending by, so that it is done once."""

from django.db import models

from a2a_app.models.keys import new_key
from a2a_app.models.message import Message
from a2a_app.models.task import Task


class IdempotencyKey(models.Model):
    """One sending of one owner to one agent, and what became of it: a turn or an answer.

    Stored in the transaction that stores what it led to, so that of two at once one is refused.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    agent = models.CharField(max_length=100)
    owner = models.CharField(max_length=255, blank=True)
    key = models.CharField(max_length=300, help_text="Where it is from, and the client's own.")
    digest = models.CharField(max_length=64, help_text="Of what was sent.")
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    turn = models.PositiveIntegerField(default=0, help_text="The task's turn that it began.")
    message = models.ForeignKey(
        Message,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text="The agent's answer, where there is no task.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True, help_text="From then on it may be new again.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agent", "owner", "key"], name="a2a_key_of_owner"),
        ]

    def __str__(self) -> str:
        return self.key
