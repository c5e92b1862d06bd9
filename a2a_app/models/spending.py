"""Spending: how much was used of language models in a day, for budgets."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from a2a_app.database.values import new_key
from a2a_app.models.token_usage import COST_DIGITS, COST_PLACES

MAX_SPENDER = 255


class SpenderKind(models.TextChoices):
    """Who may have a budget."""

    CALLER = "caller", _("caller")
    TENANT = "tenant", _("tenant")
    AGENT = "agent", _("agent")


class Spending(models.Model):
    """What one caller, one tenant or one agent has used in one day: a sum of rows of TokenUsage.

    It stays when tasks are deleted. A month of a spender is a few rows next to each other in the
    index, however many tasks there are.
    """

    id = models.UUIDField(primary_key=True, default=new_key, editable=False)
    per = models.CharField(max_length=8, choices=SpenderKind, help_text=_("Whose sum it is."))
    spender = models.CharField(
        max_length=MAX_SPENDER,
        blank=True,
        help_text=_("The owner, the key of the tenant, or the slug of the agent."),
    )
    caller = models.CharField(
        max_length=MAX_SPENDER,
        blank=True,
        help_text=_("Of an owner: the owner without its tenant, to find a person's."),
    )
    day = models.DateField(help_text=_("By TIME_ZONE."))
    agent = models.CharField(max_length=100)
    currency = models.CharField(
        max_length=3, blank=True, help_text=_("Of the cost. Empty: what has no known cost.")
    )
    tokens = models.BigIntegerField(default=0, help_text=_("Read and written."))
    cost = models.DecimalField(max_digits=COST_DIGITS, decimal_places=COST_PLACES, default=0)

    class Meta:
        verbose_name = "day's spending"
        verbose_name_plural = "spending by day"
        indexes = [
            models.Index(fields=["caller", "id"], name="a2a_spending_of_caller"),
            models.Index(fields=["day"], name="a2a_spending_of_day"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["per", "spender", "day", "agent", "currency"], name="a2a_spending"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.per} {self.spender or 'nobody'}, {self.day}"
