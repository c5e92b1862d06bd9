"""Budgets: what was used of language models in a day and a month, and what may be (R17).

Each use is added to the sums of its day, in the transaction that records it. So a look at a budget
reads a few rows of an index, and it counts what tasks have used that are deleted since.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model, Sum
from django.utils import timezone

from a2a_app import conf, models
from a2a_app.conf.entries import Budget
from a2a_app.database.inserts import insert
from a2a_app.database.values import new_key
from a2a_app.models.owners import caller_of, row_of, tenant_of
from a2a_app.models.spending import SpenderKind

if TYPE_CHECKING:
    from a2a_app.store.token_usage import Used

Limit = int | Decimal

_UNIQUE = ("per", "spender", "day", "agent", "currency")
_WHOSE = {
    SpenderKind.CALLER: "Your budget",
    SpenderKind.TENANT: "The budget of your organisation",
    SpenderKind.AGENT: "The budget of this agent",
}
_UNTIL = {"day": "today", "month": "this month"}


@dataclass(frozen=True, slots=True)
class Spender:
    """Who is about to use a language model, and by which agent: for the functions of BUDGETS."""

    owner: str
    """The owner of the task, as the admin shows it."""
    agent: str
    """The slug of the agent."""

    @property
    def caller(self) -> str:
        """The owner without its tenant, such as `user:7` or `name:ann`. Empty: it is not known."""
        return caller_of(self.owner)

    @property
    def tenant(self) -> str:
        """The key of the tenant. Empty: there is none."""
        return tenant_of(self.owner)

    @property
    def row(self) -> Model | None:
        """The row that the owner stands for, such as a user, read anew; None: it has none."""
        try:
            return row_of(self.owner)
        except LookupError:
            return None

    def named(self, per: str) -> str | None:
        """Return under which name sums of this kind are; None: it has no such sums."""
        names = {
            SpenderKind.CALLER: self.owner,
            SpenderKind.TENANT: self.tenant or None,
            SpenderKind.AGENT: self.agent,
        }
        return names[SpenderKind(per)]


@dataclass(frozen=True, slots=True)
class State:
    """How a budget stands for one spender."""

    budget: Budget
    limit: Limit
    spent: Limit
    ends_at: datetime
    """When the next one begins."""

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self.limit

    @property
    def is_passed(self) -> bool:
        """Whether more was used than there was."""
        return self.spent > self.limit

    @property
    def reset_at(self) -> str:
        """When the next one begins, as the protocol writes times."""
        return f"{self.ends_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def refusal(self) -> str:
        """What a client is told where it is used up: no figures, which may be of others too."""
        whose, until = _WHOSE[SpenderKind(self.budget.per)], _UNTIL[self.budget.period]
        return f"{whose} for {until} is used up. The next one begins at {self.reset_at}."

    @property
    def seconds_left(self) -> float:
        """How long it is until the next one begins."""
        return max(1.0, (self.ends_at - timezone.now()).total_seconds())


def find_used_up(spender: Spender, *, passed: bool = False) -> State | None:
    """Return a budget of which nothing is left for a spender; None: there is none.

    Args:
        spender: Who is about to use something.
        passed: Whether only budgets are meant of which more was used than there was.
    """
    for state in states_of(spender):
        if state.is_passed if passed else state.is_used_up:
            return state
    return None


def states_of(spender: Spender, *, per: str = "") -> Iterator[State]:
    """Yield how each budget stands that a spender has, one query for each.

    Args:
        spender: The spender. Without an agent, the budgets for each agent count.
        per: The kind of the budgets that are meant. Empty: all.
    """
    today = timezone.localdate(timezone=timezone.get_default_timezone())
    for budget in conf.current().budgets:
        name = spender.named(budget.per)
        is_another = budget.agent and spender.agent and budget.agent != spender.agent
        if name is None or is_another or budget.per != (per or budget.per):
            continue
        limit = _limit_for(budget, spender)
        if limit is not None:
            begin, end = _period(budget, today)
            yield State(budget, limit, _spent(budget, name, begin), end)


def add_spending(owner: str, agent: str, used: "Used") -> None:
    """Add what was used to the sums of today. Call it in the transaction that records it."""
    spender = Spender(owner, agent)
    tokens, cost = used.input_tokens + used.output_tokens, used.cost or Decimal(0)
    # In one order, so that two transactions never wait for each other.
    for per in SpenderKind.AGENT, SpenderKind.CALLER, SpenderKind.TENANT:
        name = spender.named(per)
        if name is not None:
            row = {
                "id": new_key(),
                "per": per.value,
                "spender": name,
                "caller": spender.caller if per is SpenderKind.CALLER else "",
                "day": timezone.localdate(timezone=timezone.get_default_timezone()),
                "agent": agent,
                "currency": used.currency,
                "tokens": tokens,
                "cost": cost,
            }
            insert(models.Spending, [row], overwrite=("tokens", "cost"), unique=_UNIQUE, adds=True)


def forget_old_spending() -> None:
    """Delete the sums that no budget counts any more: those from before the last month."""
    today = timezone.localdate(timezone=timezone.get_default_timezone())
    last = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    models.Spending.objects.filter(day__lt=last).delete()


@conf.cached()
def functions() -> Mapping[str, Callable[[Spender], Limit | None]]:
    """Return the functions that BUDGETS names, by their paths.

    Raises:
        ImproperlyConfigured: One does not exist, is not callable, or is asynchronous.
    """
    found = {}
    for path in [each.limit for each in conf.current().budgets if isinstance(each.limit, str)]:
        function = found[path] = conf.imported("BUDGETS", path)
        if inspect.iscoroutinefunction(function):
            raise ImproperlyConfigured(
                f"{conf.NAME}['BUDGETS']: {path} is no function without async."
            )
    return found


def _limit_for(budget: Budget, spender: Spender) -> Limit | None:
    if not isinstance(budget.limit, str):
        return budget.limit
    limit: Any = functions()[budget.limit](spender)
    if isinstance(limit, float):
        limit = Decimal(str(limit))
    if limit is not None and not isinstance(limit, int | Decimal):
        raise TypeError(f"{budget.limit} returned {limit!r}: a number or None is wanted.")
    return limit


def _period(budget: Budget, today: date) -> tuple[date, datetime]:
    """Return the first day of a budget that holds today, and when the next one begins."""
    begin, end = today, today + timedelta(days=1)
    if budget.period == "month":
        begin = today.replace(day=1)
        end = (begin + timedelta(days=32)).replace(day=1)
    return begin, datetime(end.year, end.month, end.day, tzinfo=timezone.get_default_timezone())


def _spent(budget: Budget, name: str, begin: date) -> Limit:
    rows = models.Spending.objects.filter(per=budget.per, spender=name, day__gte=begin)
    if budget.agent:
        rows = rows.filter(agent=budget.agent)
    if budget.unit == "cost":
        rows = rows.filter(currency=budget.currency)
    spent: Limit | None = rows.aggregate(spent=Sum(budget.unit))["spent"]
    return spent or 0
