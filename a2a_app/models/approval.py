"""Approval: a question that a person has to decide before an agent goes on."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import VerbatimJSONField, new_key
from a2a_app.models.task import Task

MAX_PERMISSION = 255
MAX_CHOICE = 100


class Ending(models.TextChoices):
    """How a question came to its end."""

    DECIDED = "decided", _("was decided")
    EXPIRED = "expired", _("was not decided in time")
    WITHDRAWN = "withdrawn", _("was withdrawn")


class Decider(models.TextChoices):
    """As what somebody has decided."""

    CALLER = "caller", _("the caller")
    OPERATOR = "operator", _("an operator")


class Approval(models.Model):
    """A question of a turn, for the caller or for staff with a permission, and what was decided.

    While it is open its task has `asks`, and the turn's next run has no lease.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="approvals", db_index=False
    )
    turn = models.PositiveIntegerField(help_text=_("The turn that asked it for the first time."))
    digest = models.CharField(max_length=64, help_text="Of all that is asked.")
    number = models.PositiveIntegerField(help_text="How often the turn has asked just this.")
    question = models.TextField()
    data = VerbatimJSONField(null=True, blank=True, help_text=_("What it is about."))
    choices = VerbatimJSONField(
        help_text=_("The first one approves. None: another agent asks, and any message answers.")
    )
    permission = models.CharField(
        max_length=MAX_PERMISSION, blank=True, help_text=_("Empty: the caller decides.")
    )
    until = models.DateTimeField(null=True, blank=True)
    ending = models.CharField(max_length=16, choices=Ending, blank=True)
    choice = models.CharField(max_length=MAX_CHOICE, blank=True)
    comment = models.TextField(blank=True)
    decided_as = models.CharField(max_length=16, choices=Decider, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    answer = models.UUIDField(
        null=True,
        blank=True,
        help_text=_("The message that answers a question of another agent, which is passed on."),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "turn", "digest", "number"], name="a2a_approval_of_turn"
            ),
        ]
        indexes = [
            # With what is open and nothing else, however much was decided.
            models.Index(
                fields=["permission", "id"],
                condition=models.Q(ended_at=None),
                name="a2a_approval_open",
            ),
            models.Index(
                fields=["until"],
                condition=models.Q(ended_at=None, until__isnull=False),
                name="a2a_approval_until",
            ),
        ]

    def __str__(self) -> str:
        return self.question[:80]
