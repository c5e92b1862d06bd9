"""TokenUsage: what a turn has used of a language model."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import new_key
from a2a_app.models.task import Task

MAX_MODEL = 200
# Prices are fractions of a cent for a token.
COST_DIGITS, COST_PLACES = 24, 12


class TokenUsage(models.Model):
    """What one attempt at a turn has used of one model, each time that it says so.

    Keys grow with time. So each index has the rows of one owner, agent or model in the order in
    which they were made, and those of a month are next to each other.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="token_usage")
    owner = models.CharField(max_length=255, blank=True)
    agent = models.CharField(max_length=100)
    model = models.CharField(max_length=MAX_MODEL)
    turn = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField()
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField(
        max_digits=COST_DIGITS,
        decimal_places=COST_PLACES,
        null=True,
        blank=True,
        help_text=_("Empty: it is not known."),
    )
    currency = models.CharField(
        max_length=3, blank=True, help_text=_("Of the cost. Empty: it is not known.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "token usage"
        indexes = [
            models.Index(fields=["owner", "id"], name="a2a_token_usage_of_owner"),
            models.Index(fields=["agent", "id"], name="a2a_token_usage_of_agent"),
            models.Index(fields=["model", "id"], name="a2a_token_usage_of_model"),
        ]

    def __str__(self) -> str:
        return f"{self.model}, turn {self.turn} attempt {self.attempt}"
