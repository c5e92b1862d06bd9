"""Turns that do several things at once: nothing of it is lost as the turn is put away."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from a2a_app import database, events, models, runners
from a2a_app.agents import Turn
from a2a_app.agents.durable.waits import Wait
from a2a_app.protocol import Task
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.sleepers import SECONDS, asleep, ended, is_asleep, until

pytestmark = pytest.mark.usefixtures("runtime")

DURABLE: dict[str, Any] = {"durable": True}
LONG = timedelta(days=3)


@pytest.fixture(autouse=True)
def puts_away(a2a: ChangeSettings) -> None:
    """Have turns put away at once, whatever they wait for."""
    a2a(PUT_AWAY_SECONDS=0)


async def text_of(client: OperationsClient, task: Task) -> str:
    """Return what the only artifact of a task says, once it has ended."""
    return (await ended(client, task)).artifacts[0].parts[0].text or ""


@pytest.mark.slow
async def test_a_step_that_would_begin_as_the_turn_is_put_away_begins_in_the_next_attempt() -> None:
    loop, may_begin, may_leave = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    called: list[str] = []

    def is_leaving() -> bool:
        # In the transaction that puts the turn away.
        loop.call_soon_threadsafe(may_begin.set)
        loop.call_soon_threadsafe(loop.call_later, 0.05, may_leave.set)
        return not may_leave.wait(SECONDS)

    async def work(turn: Turn) -> None:
        await may_begin.wait()
        await turn.step("work", called.append, f"attempt {turn.attempt}")

    async def agent(turn: Turn) -> str:
        with turn.waits.also(Wait(None, is_leaving)):
            await asyncio.gather(turn.wait_for("payment"), work(turn))
        return "Paid."

    with client_of(agent, **DURABLE) as client:
        task = await client.send(return_immediately=True)
        await is_asleep()
        may_leave.set()
        await runners.current().begin()
        assert await events.asend(task.id, "payment")
        assert await text_of(client, task) == "Paid."
    assert called == ["attempt 2"]


async def test_code_that_is_at_work_beside_a_wait_is_not_cancelled_by_it() -> None:
    waiting, may_end = asyncio.Event(), asyncio.Event()

    async def work(turn: Turn) -> str:
        waiting.set()
        await may_end.wait()  # such as an answer of another server
        await turn.sleep(LONG)
        return f"Done in attempt {turn.attempt}."

    async def agent(turn: Turn) -> str:
        both = turn.gather(work(turn), turn.sleep(LONG))
        await turn.gather(turn.wait_for("payment"), both)
        return "Never."

    with client_of(agent, **DURABLE) as client:
        await client.send(return_immediately=True)
        await asyncio.wait_for(waiting.wait(), SECONDS)
        await until(lambda: models.Step.objects.count() == 2)
        assert await database.run(asleep) == []
        may_end.set()
        assert (await is_asleep()).attempt == 2
    assert await database.run(models.Step.objects.count) == 3


async def test_an_event_is_heard_while_a_step_beside_it_is_at_work() -> None:
    heard, begun = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await heard.wait()

    async def listen(turn: Turn) -> None:
        await turn.wait_for("stop")
        heard.set()

    async def agent(turn: Turn) -> str:
        await turn.gather(turn.step("work", work), listen(turn))
        return f"Stopped in attempt {turn.attempt}."

    with client_of(agent, **DURABLE) as client:
        task = await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        await until(models.Step.objects.filter(kind="event").exists)
        assert await events.asend(task.id, "stop")
        assert await text_of(client, task) == "Stopped in attempt 1."
