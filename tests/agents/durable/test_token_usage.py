"""What an agent says that it has used: in the task's metadata, in rows, and exact in any case."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.agents import Turn
from a2a_app.models.owners import Scope
from a2a_app.protocol import TaskState
from a2a_app.store.refusals import TaskGoneError
from a2a_app.store.removal import remove_tasks
from a2a_app.store.token_usage import USAGE, Used, record_usage, usage_metadata
from tests.clients.operations import client_of
from tests.tasks import begin_and_claim, new_message
from tests.wire import state

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
SUMS = {
    "inputTokens": 1300,
    "outputTokens": 250,
    "costs": {"EUR": "0.5", "USD": "0.30000000001"},
    "models": {
        "big": {"inputTokens": 1200, "outputTokens": 200, "costs": {"USD": "0.30000000001"}},
        "small": {"inputTokens": 100, "outputTokens": 50, "costs": {"EUR": "0.5"}},
    },
}
SMALL = Used.checked("small", 10, 1, "0.1", "USD")


async def uses(turn: Turn) -> None:
    await turn.usage("big", input_tokens=1000, output_tokens=200, cost=0.1)
    await turn.usage("small", input_tokens=100, output_tokens=50, cost="0.50", currency="EUR")
    await turn.usage("big", input_tokens=200, cost=Decimal("0.20000000001"))


def uses_in_a_thread(turn: Turn) -> None:
    turn.usage("big", input_tokens=1000, output_tokens=200, cost=0.1)
    turn.usage("small", input_tokens=100, output_tokens=50, cost="0.50", currency="EUR")
    turn.usage("big", input_tokens=200, cost=Decimal("0.20000000001"))


async def uses_and_ends(turn: Turn) -> None:
    await uses(turn)
    await turn.input_required("More?", metadata={"own": 1})


async def uses_and_raises(turn: Turn) -> None:
    await uses(turn)
    raise RuntimeError


def read_rows() -> list[models.TokenUsage]:
    return list(models.TokenUsage.objects.order_by("pk"))


@pytest.mark.parametrize("agent", [uses, uses_in_a_thread, uses_and_ends, uses_and_raises])
async def test_the_next_status_of_the_task_has_the_sums_of_all_it_has_used(agent: Any) -> None:
    with client_of(agent) as client:
        events = await client.stream()
        task = await client.get(events[0]["task"]["id"])
    assert events[-1]["statusUpdate"]["metadata"][USAGE] == SUMS
    assert task.metadata == {USAGE: SUMS} | ({"own": 1} if agent is uses_and_ends else {})
    rows = await database.run(read_rows)
    assert [(row.model, row.input_tokens, row.cost, row.currency) for row in rows] == [
        ("big", 1000, Decimal("0.1"), "USD"),
        ("small", 100, Decimal("0.5"), "EUR"),
        ("big", 200, Decimal("0.20000000001"), "USD"),
    ]
    assert {(row.agent, row.owner, row.turn, row.attempt) for row in rows} == {
        (client.call.agent.slug, client.call.scope.owner, 1, 1)
    }


async def test_the_sums_are_of_all_turns_of_the_task_and_of_no_other_task() -> None:
    async def agent(turn: Turn) -> None:
        await turn.usage("m", input_tokens=turn.number)
        await turn.input_required("More?")

    with client_of(agent) as client:
        await client.send()
        task = await client.send()
        task = await client.send(new_message("again", task_id=task.id))
    assert task.metadata[USAGE]["inputTokens"] == 1 + 2
    assert "costs" not in task.metadata[USAGE]


async def test_an_agent_may_keep_what_it_uses_to_the_admin() -> None:
    async def waits(turn: Turn) -> None:
        await uses(turn)
        if turn.text == "wait":
            await turn.working()
            await asyncio.Event().wait()

    with client_of(waits, shows_usage=False) as client:
        task = await client.send()
        assert task.metadata == {}
        stream = client.subscribe((await client.send("wait", return_immediately=True)).id)
        first = await anext(stream)
        while state(first) != "WORKING":
            first = await anext(stream)
        canceled = await client.cancel(client_task_id(first))
    assert canceled.metadata == {}
    assert len(await database.run(read_rows)) == 6


def client_task_id(event: dict[str, Any]) -> str:
    return str(event["task"]["id"] if "task" in event else event["statusUpdate"]["taskId"])


async def test_what_is_used_counts_also_after_the_task_was_canceled() -> None:
    begun, recorded = asyncio.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        await turn.usage("m", input_tokens=1)
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await turn.usage("m", input_tokens=2)
            recorded.set()

    with client_of(agent) as client:
        task = await client.send(return_immediately=True)
        async with asyncio.timeout(SECONDS):
            await begun.wait()
            canceled = await client.cancel(task.id)
            await recorded.wait()
    assert canceled.metadata[USAGE]["inputTokens"] == 1
    assert [row.input_tokens for row in await database.run(read_rows)] == [1, 2]


@pytest.mark.parametrize(("attempts", "end"), [(1, "FAILED"), (2, "COMPLETED")])
async def test_what_a_lost_attempt_has_used_counts_once_and_the_next_attempt_adds_to_it(
    settings: Settings, attempts: int, end: str
) -> None:
    settings.A2A = {**settings.A2A, "SWEEP_SECONDS": 0.05}

    async def load(turn: Turn) -> str:
        return f"attempt {turn.attempt}"

    lost = await database.run(begin_and_claim, "a process that is gone")
    for _ in range(2):  # the second time, as after a connection that broke before the answer
        await database.run(record_usage, lost.head.task_id, lost.run, 1, SMALL)
    over = timezone.now() - timedelta(seconds=1)
    await database.run(lambda: models.Run.objects.update(lease_until=over))
    with client_of(load, attempts=attempts) as client:
        events = await client.see_taken_over(lost.head.task_id)
    assert state(events[-1]) == end
    assert events[-1]["statusUpdate"]["metadata"][USAGE]["inputTokens"] == 10
    late = await database.run(
        record_usage, lost.head.task_id, lost.run, 1, Used.checked("m", 5, 0, None, "")
    )
    assert late[USAGE]["inputTokens"] == 15


async def test_usage_belongs_to_the_owner_that_the_task_has_by_then_and_goes_with_the_task() -> (
    None
):
    def record_for_another_owner() -> None:
        claim = begin_and_claim(scope=Scope("load", "name:ann"))
        tasks = models.Task.objects.filter(pk=claim.head.task_id)
        tasks.update(owner="deleted:1")
        record_usage(claim.head.task_id, claim.run, 1, SMALL)
        assert models.TokenUsage.objects.get().owner == "deleted:1"
        remove_tasks(tasks)
        assert not models.TokenUsage.objects.exists()
        assert usage_metadata(claim.head.task_id) == {}
        with pytest.raises(TaskGoneError):
            record_usage(claim.head.task_id, claim.run, 1, SMALL)

    await database.run(record_for_another_owner)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"model": "x" * 201}, "model"),
    ({"model": None}, "model"),
    ({"input_tokens": -1}, "input_tokens"),
    ({"output_tokens": 1.5}, "output_tokens"),
    ({"cost": -1}, "cost"),
    ({"cost": "much"}, "cost"),
    ({"cost": float("nan")}, "cost"),
    ({"cost": 10**12}, "cost"),
    ({"cost": 1, "currency": "usd"}, "currency"),
    ({"cost": 1, "currency": ""}, "currency"),
]


async def test_a_figure_that_is_none_is_refused_at_once_and_named() -> None:
    async def agent(turn: Turn) -> None:
        for wrong, named in BAD:
            with pytest.raises(ValueError, match=f"^{named} must"):
                turn.usage(**{"model": "m", **wrong})

    with client_of(agent) as client:
        task = await client.send()
    assert task.status.state is TaskState.COMPLETED
    assert not await database.run(read_rows)
