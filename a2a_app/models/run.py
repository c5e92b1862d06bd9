"""Run: one attempt at a turn."""

from django.db import models

from a2a_app.database.values import VerbatimJSONField, new_key
from a2a_app.models.message import Message
from a2a_app.models.task import Task


class Outcome(models.TextChoices):
    """How a run ended."""

    COMPLETED = "completed", "completed the task"
    FAILED = "failed", "failed the task"
    CANCELED = "canceled", "was canceled with the task"
    REJECTED = "rejected", "rejected the task"
    YIELDED = "yielded", "ended the turn, not the task"
    LOST = "lost", "lost its lease"
    DROPPED = "dropped", "was not begun before the task ended"


class Run(models.Model):
    """One attempt to answer one message: the worker, its lease, and how the attempt ended.

    A run that no worker has claimed has no worker, and one that is over has no lease. `Task.run`
    names the one run that may write to the task.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="runs", db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="runs")
    turn = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField(default=1)
    metadata = VerbatimJSONField(default=dict, blank=True, help_text="The request's metadata.")
    accepted_output_modes = VerbatimJSONField(default=list, blank=True)
    extensions = VerbatimJSONField(
        default=list, blank=True, help_text="The extensions that the client activated."
    )
    worker = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(
        null=True,
        blank=True,
        db_index=True,
        help_text="From then on another process may take over.",
    )
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True)
    error = models.TextField(blank=True, help_text="The traceback, if the agent raised.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "turn", "attempt"], name="a2a_run_of_turn"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} turn {self.turn} attempt {self.attempt}"
