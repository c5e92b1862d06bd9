"""Token usage: what turns have used of language models, and its sums.

What was spent is spent. So usage is recorded for each attempt, whatever became of its task
meanwhile, and apart from the log: that refuses a run once it has lost its task, or the task has
ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Self
from uuid import UUID

from django.db.models import Sum

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.deletes import lock_rows
from a2a_app.database.values import new_key
from a2a_app.models.token_usage import COST_DIGITS, COST_PLACES, MAX_MODEL
from a2a_app.store.budgets import add_spending
from a2a_app.store.refusals import TaskGoneError
from a2a_app.store.task_head import RunKey

USAGE = "urn:a2a-app:usage:v1"
"""The name in a task's metadata under which the sums of its usage are."""

MAX_TOKENS = 2**53
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Used:
    """What was used of a model at once."""

    model: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    currency: str
    key: UUID = field(default_factory=new_key, compare=False)
    """The key of its row, by which a repetition of the same record is recognized."""

    @classmethod
    def checked(
        cls, model: str, input_tokens: int, output_tokens: int, cost: Any, currency: str
    ) -> Self:
        """Return what an agent says that it has used; raise ValueError that names what is wrong."""
        if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL:
            raise ValueError(f"model must be a name of at most {MAX_MODEL} characters.")
        for name, tokens in (("input_tokens", input_tokens), ("output_tokens", output_tokens)):
            if not isinstance(tokens, int) or not 0 <= tokens <= MAX_TOKENS:
                raise ValueError(
                    f"{name} must be an integer from 0 to {MAX_TOKENS}, not {tokens!r}."
                )
        if cost is None:
            return cls(model, input_tokens, output_tokens, None, "")
        if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
            raise ValueError(f"currency must be three letters such as USD, not {currency!r}.")
        return cls(model, input_tokens, output_tokens, _cost(cost), currency)


def _cost(given: Any) -> Decimal:
    try:
        # By its text: a float such as 0.1 is meant as it is written.
        cost = Decimal(str(given)).quantize(Decimal(1).scaleb(-COST_PLACES))
    except InvalidOperation:
        cost = Decimal("NaN")
    if not (cost.is_finite() and 0 <= cost < 10 ** (COST_DIGITS - COST_PLACES)):
        raise ValueError(f"cost must be a number that is not negative, below 10^12, not {given!r}.")
    return cost


def record_usage(task_id: UUID, run: RunKey, attempt: int, used: Used) -> dict[str, Any]:
    """Record what a run has used, once however often this is called with it.

    Returns:
        The metadata that tells of all that the task has used.

    Raises:
        TaskGoneError: The task was deleted.
    """
    with atomic():
        # The row is locked, so that the owner is not passed to another name meanwhile.
        found = lock_rows(models.Task.objects.filter(pk=task_id), "owner", "agent", touch="seq")
        if not found:
            raise TaskGoneError
        [(owner, agent)] = found
        row = models.TokenUsage(
            id=used.key,
            task_id=task_id,
            owner=owner,
            agent=agent,
            model=used.model,
            turn=run.turn,
            attempt=attempt,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cost=used.cost,
            currency=used.currency,
        )
        # After an answer that was lost it is there already.
        if not models.TokenUsage.objects.filter(pk=used.key).exists():
            row.save(force_insert=True)
            add_spending(owner, agent, used)
        return usage_metadata(task_id)


def usage_metadata(task_id: UUID) -> dict[str, Any]:
    """Return the metadata that tells of all that a task has used; empty if it has used nothing."""
    rows = models.TokenUsage.objects.filter(task=task_id).order_by()
    sums = rows.values("model", "currency").annotate(
        read=Sum("input_tokens"), written=Sum("output_tokens"), spent=Sum("cost")
    )
    total, by_model = _Sums(), dict[str, _Sums]()
    for row in sums.order_by("model", "currency"):
        for each in (total, by_model.setdefault(row["model"], _Sums())):
            each.add(row)
    if not by_model:
        return {}
    return {
        USAGE: {
            **total.as_json(),
            "models": {model: each.as_json() for model, each in by_model.items()},
        }
    }


@dataclass(slots=True)
class _Sums:
    """Sums of tokens, and of costs by currency."""

    read: int = 0
    written: int = 0
    costs: dict[str, Decimal] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        self.read += row["read"]
        self.written += row["written"]
        if row["spent"] is not None:
            currency = row["currency"]
            self.costs[currency] = self.costs.get(currency, _NOTHING) + row["spent"]

    def as_json(self) -> dict[str, Any]:
        sums: dict[str, Any] = {"inputTokens": self.read, "outputTokens": self.written}
        if self.costs:
            # As text: a float could not hold each of them.
            costs = {name: f"{cost.normalize():f}" for name, cost in self.costs.items()}
            sums["costs"] = costs
        return sums
