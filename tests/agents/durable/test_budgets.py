"""Budgets: what is used up refuses messages and stops turns, until the next day or month."""

import asyncio
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone

from a2a_app import database, models
from a2a_app.agents import AskError, BudgetError, Spender, Turn
from a2a_app.agents.base import Agent
from a2a_app.operations.call import Call, Caller
from a2a_app.protocol import ResourceExhaustedError, Task, TaskState
from a2a_app.store.budgets import add_spending, find_used_up, forget_old_spending, states_of
from a2a_app.store.token_usage import Used, record_usage
from a2a_app.testing import agent_for_test
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.tasks import begin_and_claim
from tests.wire import state

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
A_DAY = {"per": "caller", "period": "day"}
TOKENS: dict[str, Any] = {**A_DAY, "tokens": 100}
SAID = "Your budget for today is used up. The next one begins at "


async def uses(turn: Turn) -> None:
    """Use as many tokens as the message says, and then say that it is done."""
    await turn.usage("m", input_tokens=int(turn.text))
    await turn.working("Done.")


def spend(
    owner: str, tokens: int = 0, cost: Any = None, *, agent: str = "uses", **more: Any
) -> None:
    used = Used.checked("m", tokens, 0, cost, more.get("currency", "USD"))
    add_spending(owner, agent, used)


def spent(**which: Any) -> list[tuple[str, str, int]]:
    rows = models.Spending.objects.filter(**which).order_by("per", "spender")
    return list(rows.values_list("per", "spender", "tokens"))


def text(task: Task) -> str:
    return task.status.message.text if task.status.message else ""


def client(agent: Agent, owner: str, tenant: str = "") -> OperationsClient:
    found = OperationsClient(agent, owner)
    found.call = Call(agent, Caller(owner), tenant_key=tenant)
    return found


@pytest.mark.parametrize("owner", ["", "name:ann"])
async def test_a_message_is_refused_once_the_budget_is_used_up(
    a2a: ChangeSettings, owner: str
) -> None:
    a2a(BUDGETS=[TOKENS])
    with client_of(uses) as made:
        ann = client(made.call.agent, owner)
        for tokens in (60, 40):
            assert (await ann.send(str(tokens))).status.state is TaskState.COMPLETED
        with pytest.raises(ResourceExhaustedError) as refused:
            await ann.send("1")
        assert (await client(made.call.agent, "name:bob").send("1")).status.state.is_terminal
    error = refused.value
    assert error.message.startswith(SAID)
    assert error.limit == "BUDGETS.caller.tokens.day"
    assert error.metadata["resetAt"] in error.message
    assert 0 < error.retry_seconds <= timedelta(days=1).total_seconds()


async def test_a_turn_that_uses_more_than_there_is_fails_and_its_client_gets_no_figures(
    a2a: ChangeSettings,
) -> None:
    a2a(BUDGETS=[TOKENS])
    with client_of(uses) as made:
        task = await made.send("101")
    assert task.status.state is TaskState.FAILED
    assert text(task).startswith(SAID)
    assert re.fullmatch(re.escape(SAID) + r"[0-9T:-]{19}Z\.", text(task))
    row = await database.run(models.StoredBytes.objects.get, refused_by__gt="")
    assert row.refused_by == "BUDGETS.caller.tokens.day"


async def test_an_agent_may_catch_it_and_say_what_it_has(a2a: ChangeSettings) -> None:
    a2a(BUDGETS=[TOKENS])
    caught: list[BudgetError] = []

    async def ends_early(turn: Turn) -> str:
        try:
            await turn.usage("m", output_tokens=500)
        except BudgetError as error:
            caught.append(error)
        return "So far."

    with client_of(ends_early) as made:
        task = await made.send()
    assert task.status.state is TaskState.COMPLETED
    assert caught[0].budget == "BUDGETS.caller.tokens.day"
    assert caught[0].ends_at > timezone.now()


async def test_a_step_is_not_begun_once_the_budget_is_used_up_and_the_one_at_work_is_kept(
    a2a: ChangeSettings,
) -> None:
    a2a(BUDGETS=[TOKENS])

    async def steps(turn: Turn) -> None:
        async def model() -> int:
            await turn.usage("m", input_tokens=150)
            return 1

        assert await turn.step("first", model) == 1
        await turn.step("second", model)

    with client_of(steps) as made:
        task = await made.send()
    assert task.status.state is TaskState.FAILED
    assert text(task).startswith(SAID)
    names = await database.run(lambda: list(models.Step.objects.values_list("name", "error_kind")))
    assert names == [("first", "")]


async def test_a_synchronous_agent_is_stopped_too(a2a: ChangeSettings) -> None:
    a2a(BUDGETS=[TOKENS])

    def uses_in_a_thread(turn: Turn) -> None:
        turn.usage("m", input_tokens=101)

    with client_of(uses_in_a_thread) as made:
        assert text(await made.send()).startswith(SAID)


async def test_a_turn_that_has_waited_until_the_budget_was_used_up_does_not_begin(
    a2a: ChangeSettings,
) -> None:
    a2a(BUDGETS=[TOKENS], MAX_RUNS=1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits(turn: Turn) -> None:
        begun.set()
        await go_on.wait()
        await turn.usage("m", input_tokens=100)

    with client_of(waits) as made:
        async with asyncio.timeout(SECONDS):
            await made.send("one", return_immediately=True)
            await begun.wait()
            second = await made.send("two", return_immediately=True)
            stream = made.subscribe(second.id)
            await anext(stream)
            begun.clear()
            go_on.set()
            end = [event async for event in stream][-1]
            task = await made.get(second.id)
    assert state(end) == "FAILED"
    assert task.status.state is TaskState.FAILED
    assert text(task).startswith(SAID)
    assert not begun.is_set()


async def test_an_agent_that_is_asked_refuses_at_once_where_its_budget_is_used_up(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    a2a(BUDGETS=[{"per": "agent", "agent": "billing", "period": "day", "tokens": 0}])
    # Else the test would fail in the last hour of a day.
    monkeypatch.setattr("a2a_app.store.budgets.State.seconds_left", 7200.0)

    async def asks(turn: Turn) -> str:
        try:
            await turn.ask("billing", "Refund order 7")
        except AskError as error:
            return error.text
        return "no refusal"

    with agent_for_test(uses, slug="billing"), client_of(asks, slug="asks") as made:
        task = await made.send()
    said = task.artifacts[0].parts[0].text or ""
    assert said.startswith("The budget of this agent for today is used up.")


BUDGETS: list[tuple[dict[str, Any], Callable[[], None], str]] = [
    (TOKENS, lambda: spend("tenant:acme/name:ann", 100), ""),
    (TOKENS, lambda: spend("tenant:acme/name:ann", 99), "left"),
    (TOKENS, lambda: spend("tenant:acme/name:bob", 100), "another's"),
    (TOKENS, lambda: spend("name:ann", 100), "without the tenant"),
    ({**TOKENS, "agent": "uses"}, lambda: spend("tenant:acme/name:ann", 100), ""),
    ({**TOKENS, "agent": "other"}, lambda: spend("tenant:acme/name:ann", 100), "of an agent"),
    ({**TOKENS, "agent": "uses"}, lambda: spend("tenant:acme/name:ann", 100, agent="x"), "of x"),
    (TOKENS, lambda: spend("tenant:acme/name:ann", 100, agent="x"), ""),
    ({**TOKENS, "per": "tenant"}, lambda: spend("tenant:acme/name:bob", 100), ""),
    ({**TOKENS, "per": "tenant"}, lambda: spend("tenant:b/name:ann", 100), "another tenant's"),
    ({**TOKENS, "per": "agent"}, lambda: spend("name:bob", 100), ""),
    ({**TOKENS, "per": "agent"}, lambda: spend("name:bob", 100, agent="x"), "another agent's"),
    ({**A_DAY, "cost": "2.5"}, lambda: spend("tenant:acme/name:ann", cost="2.5"), ""),
    ({**A_DAY, "cost": 3}, lambda: spend("tenant:acme/name:ann", cost="2.99"), "left"),
    (
        {**A_DAY, "cost": 1},
        lambda: spend("tenant:acme/name:ann", cost=1, currency="EUR"),
        "another currency",
    ),
    ({**A_DAY, "cost": 0}, lambda: None, ""),
]


@pytest.mark.parametrize(("budget", "before", "why_not"), BUDGETS)
def test_a_budget_counts_what_its_holder_has_used_and_nothing_else(
    a2a: ChangeSettings, budget: dict[str, Any], before: Callable[[], None], why_not: str
) -> None:
    a2a(BUDGETS=[budget])
    before()
    used_up = find_used_up(Spender("tenant:acme/name:ann", "uses"))
    assert (used_up is None) == bool(why_not)


@pytest.mark.parametrize(
    ("period", "ago", "counts"),
    [("day", 0, True), ("day", 1, False), ("month", 0, True), ("month", 31, False)],
)
def test_a_budget_counts_the_days_of_its_period(
    a2a: ChangeSettings, period: str, ago: int, counts: bool
) -> None:
    a2a(BUDGETS=[{**TOKENS, "period": period}])
    spend("name:ann", 100)
    models.Spending.objects.update(day=F("day") - timedelta(days=ago))
    assert (find_used_up(Spender("name:ann", "uses")) is not None) == counts


@pytest.mark.parametrize(
    ("zone", "period", "end"),
    [
        ("Europe/Berlin", "day", "22:00:00Z"),
        ("UTC", "day", "00:00:00Z"),
        ("UTC", "month", "-01T00:00:00Z"),
    ],
)
def test_the_next_budget_begins_at_midnight_of_the_projects_time_zone(
    a2a: ChangeSettings,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    period: str,
    end: str,
) -> None:
    settings.TIME_ZONE = zone
    a2a(BUDGETS=[{**TOKENS, "period": period}])
    summer = timezone.now().replace(month=7, day=31, hour=12)
    monkeypatch.setattr(timezone, "now", lambda: summer)
    [found] = states_of(Spender("name:ann", "uses"))
    assert found.reset_at.endswith(end)
    assert found.ends_at > summer


def limit_of_plan(spender: Spender) -> int | float | None:
    """Return what a user's plan allows: a row of the project's says which."""
    row = spender.row
    if not isinstance(row, User):
        return None
    return 0.5 if row.username == "free" else 10


def wrong(spender: Spender) -> Any:
    return "a lot"


def test_a_function_of_the_project_says_how_much_each_caller_has(a2a: ChangeSettings) -> None:
    a2a(BUDGETS=[{**A_DAY, "cost": f"{__name__}.limit_of_plan"}])
    free, paid = (User.objects.create(username=name) for name in ("free", "paid"))
    owners = [f"user:{free.pk}", f"tenant:acme/user:{paid.pk}", "name:ann"]
    for owner in owners:
        spend(owner, cost=5)
    found = [find_used_up(Spender(owner, "uses")) for owner in owners]
    assert [each and each.limit for each in found] == [Decimal("0.5"), None, None]


def test_a_function_that_returns_no_number_is_named(a2a: ChangeSettings) -> None:
    a2a(BUDGETS=[{**A_DAY, "cost": f"{__name__}.wrong"}])
    with pytest.raises(TypeError, match=r"test_budgets\.wrong returned 'a lot'"):
        find_used_up(Spender("name:ann", "uses"))


def test_what_is_recorded_twice_is_added_once_for_caller_tenant_and_agent() -> None:
    claim = begin_and_claim()
    models.Task.objects.update(owner="tenant:acme/name:ann")
    used = Used.checked("m", 7, 3, "0.1", "USD")
    for _ in range(2):  # as after an answer that was lost
        record_usage(claim.head.task_id, claim.run, 1, used)
    assert spent() == [
        ("agent", "load", 10),
        ("caller", "tenant:acme/name:ann", 10),
        ("tenant", "acme", 10),
    ]
    claim = begin_and_claim()
    record_usage(claim.head.task_id, claim.run, 1, Used.checked("m", 1, 0, None, ""))
    assert sum(tokens for per, _, tokens in spent() if per == "agent") == 11


async def test_turns_that_use_something_at_the_same_moment_are_all_counted(
    a2a: ChangeSettings,
) -> None:
    with client_of(uses) as made:
        await asyncio.gather(*[made.send("10") for _ in range(20)])
    per_agent = await database.run(lambda: spent(per="agent"))
    assert per_agent == [("agent", made.call.agent.slug, 200)]


def test_sums_that_no_budget_counts_any_more_are_deleted() -> None:
    for owner, day in (("name:a", date(2020, 1, 1)), ("name:b", timezone.localdate())):
        spend(owner, 1)
        models.Spending.objects.filter(day=timezone.localdate()).update(day=day)
    forget_old_spending()
    assert {name for per, name, _ in spent() if per == "caller"} == {"name:b"}
