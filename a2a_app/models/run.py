"""Run: one attempt at a turn."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import VerbatimJSONField, new_key
from a2a_app.models.message import Message
from a2a_app.models.task import WITHIN_TASK, Task
from a2a_app.protocol import TaskState


class Outcome(models.TextChoices):
    """How a run ended."""

    COMPLETED = "completed", _("completed the task")
    FAILED = "failed", _("failed the task")
    CANCELED = "canceled", _("was canceled with the task")
    REJECTED = "rejected", _("rejected the task")
    YIELDED = "yielded", _("ended the turn, not the task")
    READ = "read", _("was read by the turn before it")
    ASKED = "asked", _("waits for a decision, with which another attempt begins")
    PUT_AWAY = "put-away", _("was put away until another attempt begins")
    LOST = "lost", _("lost its lease")
    DROPPED = "dropped", _("was not begun before the task ended")


OUTCOMES = {
    TaskState.COMPLETED: Outcome.COMPLETED,
    TaskState.FAILED: Outcome.FAILED,
    TaskState.CANCELED: Outcome.CANCELED,
    TaskState.REJECTED: Outcome.REJECTED,
}
"""How a run ends with its task."""


class Run(models.Model):
    """One attempt to answer one message: the worker, its lease, and how the attempt ended.

    A run that no worker has claimed has no worker. One that is over has no lease, nor has one that
    must not begin yet: before a question is decided, or before it is woken. `Task.run` names the
    one run that may write to the task, or that is to go on with it once it is woken.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="runs", db_index=False)
    message = models.ForeignKey(Message, **WITHIN_TASK, related_name="runs")
    turn = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField(default=1)
    revision = models.CharField(
        max_length=100,
        blank=True,
        help_text=_("That of the agent's code under which the turn began. Empty: it has none."),
    )
    metadata = VerbatimJSONField(default=dict, blank=True, help_text=_("The request's metadata."))
    accepted_output_modes = VerbatimJSONField(default=list, blank=True)
    extensions = VerbatimJSONField(
        default=list, blank=True, help_text=_("The extensions that the client activated.")
    )
    queue = models.BigIntegerField(
        help_text="Where it waits: one number for each owner, or owner and agent."
    )
    place = models.PositiveIntegerField(
        null=True, blank=True, help_text="Which of the turns that its owner may have it is."
    )
    credential = models.TextField(
        blank=True, help_text="A name of the credentials with which the message came."
    )
    scopes = VerbatimJSONField(
        null=True, blank=True, help_text="What these credentials are limited to. Empty: nothing."
    )
    agents = VerbatimJSONField(
        null=True, blank=True, help_text="The agents that they are for. Empty: all of them."
    )
    handed_on = models.TextField(
        blank=True, help_text="What the project takes from the request for its agents, encrypted."
    )
    trace = VerbatimJSONField(
        default=dict, blank=True, help_text="The trace of the request, as the headers that name it."
    )
    worker = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(
        null=True,
        blank=True,
        db_index=True,
        help_text=_("From then on another process may take over."),
    )
    wakes_at = models.DateTimeField(
        null=True, blank=True, help_text="When a run that is put away is to begin."
    )
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True)
    error = models.TextField(blank=True, help_text="The traceback, if the agent raised.")
    read_after = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="After how many steps of the turn before it that turn has read its message.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # With what waits and nothing else, so that the next owner of whom something waits is
            # found without a look at those of whom nothing does.
            models.Index(
                fields=["queue", "lease_until"],
                condition=models.Q(started_at=None, ended_at=None, lease_until__isnull=False),
                name="a2a_run_waiting",
            ),
            models.Index(
                fields=["wakes_at"],
                condition=models.Q(ended_at=None, wakes_at__isnull=False),
                name="a2a_run_asleep",
            ),
            # So few that a process can look which revisions of its code are still needed.
            models.Index(
                fields=["lease_until"],
                condition=models.Q(ended_at=None, revision__gt=""),
                name="a2a_run_revision",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["task", "turn", "attempt"], name="a2a_run_of_turn"),
            # This limits an owner's turns: there are no more of them than places.
            models.UniqueConstraint(
                fields=["queue", "place"],
                condition=models.Q(place__isnull=False),
                name="a2a_run_place",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} turn {self.turn} attempt {self.attempt}"
