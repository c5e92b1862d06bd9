"""RemoteTask: a task that a turn has given to another agent."""

from django.db import models
from django.db.models.functions import Now

from a2a_app.database.values import new_key
from a2a_app.models.task import Task
from a2a_app.protocol import TaskState

MAX_NAME = 255
MAX_ID = 255


class RemoteTask(models.Model):
    """What a turn has asked another agent, of this project or elsewhere, and the task it became.

    Its key is the Idempotency-Key of the message. What came of it is in the `Step` of the same
    place.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="remote_tasks", db_index=False
    )
    turn = models.PositiveIntegerField(help_text="The turn whose message led to it.")
    number = models.PositiveIntegerField(help_text="Its place among the steps of the turn.")
    name = models.CharField(max_length=MAX_NAME)
    agent = models.TextField(help_text="The other agent, as the code names it.")
    is_local = models.BooleanField(help_text="Whether that is an agent of this project.")
    text = models.TextField(blank=True, help_text="The beginning of what was asked.")
    remote_id = models.CharField(
        max_length=MAX_ID, blank=True, help_text="The id of the other task. Empty: not known yet."
    )
    state = models.CharField(
        max_length=32,
        blank=True,
        choices=[(s.value, s.name) for s in TaskState],
        help_text="That of the other task when it was last heard of.",
    )
    answered = models.PositiveIntegerField(
        default=0, help_text="How many of its questions were answered, or are so no more."
    )
    # Both on the database's clock, by which the time of a wake-up is reckoned.
    created_at = models.DateTimeField(db_default=Now())
    heard_at = models.DateTimeField(
        db_default=Now(), help_text="When the other agent was last there, to some minutes."
    )
    has_webhook = models.BooleanField(
        default=False, help_text="Whether the other agent was asked to tell us of the task."
    )
    rung_at = models.DateTimeField(
        null=True, blank=True, help_text="When it last told us that there is something to do."
    )
    unwanted_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when nobody waits for it. Empty: somebody does."
    )
    cancel_at = models.DateTimeField(
        null=True, blank=True, help_text="When to cancel it next. Empty: it is not to be."
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "turn", "number"], name="a2a_remote_task_of_turn"
            ),
        ]
        indexes = [
            # By whom a task of this project was asked.
            models.Index(
                fields=["remote_id"],
                condition=models.Q(is_local=True),
                name="a2a_remote_task_local",
            ),
            models.Index(
                fields=["cancel_at"],
                condition=models.Q(cancel_at__isnull=False),
                name="a2a_remote_task_unwanted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} turn {self.turn} asks {self.agent}"
