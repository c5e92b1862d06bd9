"""Spending: what a turn uses of language models, and that it stops where a budget is used up."""

from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from functools import cached_property
from typing import Any

from a2a_app import conf, security, telemetry
from a2a_app.agents.content import clean
from a2a_app.agents.durable.approvals import Asker
from a2a_app.agents.durable.waits import Waits
from a2a_app.store.budgets import Spender, State, find_used_up
from a2a_app.store.quota import note_refusal
from a2a_app.store.token_usage import Used, record_usage


class BudgetError(Exception):
    """A budget of the setting BUDGETS is used up. Its text is fit for clients, and has no figures.

    An agent may catch it, for instance to say what it has found so far. Uncaught, it ends the task
    as failed, with this text.
    """

    def __init__(self, state: State) -> None:
        super().__init__(state.refusal)
        self.budget = state.budget.name
        """The name of the budget, such as `BUDGETS.caller.tokens.day`."""
        self.ends_at = state.ends_at
        """When the next one begins."""


class SpendingTurn(Asker):
    """The verb of a turn that records what it uses."""

    # Each is set by Turn.
    _do: Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
    _shows_usage: bool

    @cached_property
    def waits(self) -> Waits:
        """What the turn waits for, and the steps that are under way beside it."""
        return Waits()

    def usage(
        self,
        model: str,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost: Decimal | float | str | None = None,
        currency: str = "USD",
    ) -> Awaitable[None]:
        """Record what this turn has used of a language model, as often as it uses one.

        It is stored at once, for the owner of the task, also where the task has ended or is another
        run's meanwhile: what was spent is spent. The next status of the task has the sums of all
        its turns and attempts in its metadata, unless `shows_usage` of the agent is off.

        Args:
            model: The model's name.
            input_tokens: How many tokens it has read.
            output_tokens: How many tokens it has written.
            cost: What that has cost; None: it is not known.
            currency: The currency of the cost, by its three letters (ISO 4217).

        Raises:
            ValueError: A number is negative, or the model or the currency is none.
            BudgetError: It is recorded, and with it more is used than a budget allows. Inside a
                step the next step says so, since the result of this one is paid for.
        """
        used = Used.checked(clean(model, self.report), input_tokens, output_tokens, cost, currency)
        return self._do(self._record(used))

    async def check_budgets(self, *, passed: bool = False) -> None:
        """Raise BudgetError where a budget is used up, or is passed if only that counts."""
        if not conf.current().budgets:
            return
        spender = Spender(self._claim.head.owner, self._claim.head.agent)
        state = await self._writer.persist(find_used_up, spender, passed=passed)
        if state is None:
            return
        name = state.budget.name
        security.record(
            security.SecurityEvent.LIMIT_REACHED,
            owner=spender.owner,
            agent=spender.agent,
            reason=state.refusal,
            limit=name,
        )
        await self._writer.persist(note_refusal, spender.owner, name)
        raise BudgetError(state)

    async def _record(self, used: Used) -> None:
        claim = self._claim
        metadata = await self._writer.persist(
            record_usage, claim.head.task_id, claim.run, claim.attempt, used
        )
        self._usage = metadata if self._shows_usage else {}
        if telemetry.active is not None:
            tokens = {"input": used.input_tokens, "output": used.output_tokens}
            telemetry.active.count_usage(used.model, tokens)
        if not self.waits.has_steps:
            await self.check_budgets(passed=True)
