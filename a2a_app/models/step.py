"""Step: a piece of a turn's work, or what it waits for, that counts once, and what came of it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import VerbatimJSONField, new_key
from a2a_app.models.task import Task

MAX_NAME = 255


class Kind(models.TextChoices):
    """What a step is."""

    WORK = "work", _("a function was called")
    SLEEP = "sleep", _("waits for a time")
    EVENT = "event", _("waits for an event")


class Step(models.Model):
    """The result, or the error, of a step of a turn, which later attempts at the turn get."""

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="steps", db_index=False)
    turn = models.PositiveIntegerField(help_text="The turn whose message the step works on.")
    number = models.PositiveIntegerField(help_text="Its place among the steps of the turn.")
    kind = models.CharField(max_length=16, choices=Kind, default=Kind.WORK)
    name = models.CharField(max_length=MAX_NAME)
    until = models.DateTimeField(
        null=True, blank=True, help_text="Until when it waits. Empty: it does not, or for ever."
    )
    result = VerbatimJSONField(
        null=True, blank=True, help_text="An array of one value. Empty: it is in a file, or failed."
    )
    file = models.CharField(
        max_length=100, blank=True, help_text="The reference to the file of a large result."
    )
    error_kind = models.CharField(
        max_length=255, blank=True, help_text="The class of the exception. Empty: there was none."
    )
    error = models.TextField(blank=True, help_text="The text of the exception.")
    tries = models.PositiveIntegerField(
        default=0, help_text="How often it was tried in its last attempt."
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: it waits, or waited for a time."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "turn", "number"], name="a2a_step_of_turn"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} turn {self.turn} step {self.number} {self.name}"
