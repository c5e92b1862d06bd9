"""Turns that sleep: they are put away, hold nothing, and go on where they were."""

import asyncio
import threading
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

import pytest

from a2a_app import database, models, runners
from a2a_app.agents import Agent, StepError, Turn, TurnCaller
from a2a_app.agents.durable.waits import Waits
from a2a_app.models.run import Outcome
from a2a_app.protocol import Part, Task, TaskState
from a2a_app.store.durable.wake import wake
from a2a_app.store.durable.wakeups import read_agenda
from a2a_app.store.notify import ring
from a2a_app.testing.clock import Clock
from a2a_app.testing.runtime import within
from tests.approvals import answer
from tests.clients.operations import client_of
from tests.conftest import ChangeSettings
from tests.cuts import said_in
from tests.sleepers import (
    SECONDS,
    are_asleep,
    asleep,
    ended,
    is_asleep,
    let_time_pass,
    until,
    wake_up,
)
from tests.tasks import claim_of, waiting

pytestmark = pytest.mark.usefixtures("runtime")

LONG = timedelta(days=3)


@pytest.fixture
def puts_away(a2a: ChangeSettings) -> None:
    """Have turns put away at once, whatever they wait for."""
    a2a(PUT_AWAY_SECONDS=0)


@pytest.mark.usefixtures("puts_away")
async def test_a_turn_that_sleeps_holds_nothing_and_goes_on_where_it_was() -> None:
    called: list[str] = []

    def charge() -> str:
        called.append("charge")
        return "charged"

    async def agent(turn: Turn) -> None:
        await turn.working(await turn.step("charge", charge))
        await turn.sleep(LONG)
        await turn.complete(f"attempt {turn.attempt}")

    with client_of(agent, durable=True) as client:
        stream = asyncio.create_task(client.stream())
        run = await is_asleep()
        assert (run.worker, run.lease_until, run.place, run.attempt) == ("", None, None, 2)
        assert run.wakes_at is not None and run.wakes_at - run.created_at > timedelta(days=2)
        first = await database.run(models.Run.objects.get, attempt=1)
        assert (first.outcome, first.lease_until) == (Outcome.PUT_AWAY, None)
        worker = runners.current().worker
        await until(lambda: not worker.run_ids)
        await wake_up()
        events = await stream
        log = await database.run(said_in, run.task_id)
    assert called == ["charge"]
    assert [parts and parts[0]["text"] for _, parts in log] == [None, "charged", "attempt 2"]
    assert len(events) == 3


@pytest.mark.slow
async def test_the_next_wake_up_comes_by_itself_when_it_is_time(a2a: ChangeSettings) -> None:
    a2a(PUT_AWAY_SECONDS=0, SWEEP_SECONDS=60)

    async def agent(turn: Turn) -> str:
        await turn.sleep(0.2)
        await turn.sleep(timedelta(milliseconds=200))
        return f"{turn.attempt}"

    with client_of(agent, durable=True) as client:
        await runners.current().begin()
        task = await client.send()
    assert task.artifacts[0].parts[0].text == "3"


async def test_a_short_sleep_keeps_its_process_and_its_time_is_no_work(a2a: ChangeSettings) -> None:
    a2a(PUT_AWAY_SECONDS=1000)
    clock, sleeping = Clock(asyncio.get_running_loop()), asyncio.Event()
    waits: list[Waits] = []

    async def agent(turn: Turn) -> str:
        waits.append(turn.waits)
        sleeping.set()
        await turn.sleep(10)
        return f"{turn.attempt}"

    clock.freeze()
    with client_of(agent, durable=True, time_limit=5.0, silence_limit=5.0) as client:
        sending = asyncio.create_task(client.send())
        await sleeping.wait()
        async with within(SECONDS, "The turn does not sleep"):
            while not waits[0].are_all:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0)
        clock.advance(10)
        task = await sending
    clock.restore()
    assert task.artifacts[0].parts[0].text == "1"


@pytest.mark.usefixtures("puts_away")
async def test_a_step_beside_a_sleep_is_brought_to_its_end_first() -> None:
    begun, may_end, called = asyncio.Event(), asyncio.Event(), []

    async def work() -> str:
        called.append("work")
        begun.set()
        await may_end.wait()
        return "done"

    async def agent(turn: Turn) -> str:
        result, _ = await asyncio.gather(turn.step("work", work), turn.sleep(LONG))
        return str(result)

    with client_of(agent, durable=True) as client:
        task = await client.send(return_immediately=True)
        await begun.wait()
        await until(models.Step.objects.exists)
        assert await database.run(asleep) == []
        may_end.set()
        await wake_up()
        done = await ended(client, task)
    assert done.artifacts[0].parts[0].text == "done"
    assert called == ["work"]


@pytest.mark.usefixtures("puts_away")
async def test_a_synchronous_agent_sleeps_and_its_thread_ends() -> None:
    threads: list[threading.Thread] = []

    def agent(turn: Turn) -> str:
        threads.append(threading.current_thread())
        turn.working("Waiting.")
        turn.wait(turn.sleep(LONG))
        return "awake"

    with client_of(agent, durable=True) as client:
        task = await client.send(return_immediately=True)
        await wake_up()
        done = await ended(client, task)
    assert done.artifacts[0].parts[0].text == "awake"
    assert len(threads) == 2


@pytest.mark.usefixtures("puts_away")
async def test_a_message_that_comes_meanwhile_waits_for_the_turn_that_sleeps() -> None:
    async def agent(turn: Turn) -> None:
        if turn.text == "first":
            await turn.sleep(LONG)
        await turn.working(turn.text)

    with client_of(agent, durable=True) as client:
        task = await client.send("first", return_immediately=True)
        await is_asleep()
        more = answer(task, Part(text="second"))
        await client.send(more, return_immediately=True)
        assert await database.run(claim_of, UUID(task.id)) is None
        assert await database.run(waiting, client.call.agent.slug) == []
        await wake_up()
        await ended(client, task)
        log = await database.run(said_in, UUID(task.id))
    assert [parts[0]["text"] for _, parts in log if parts] == ["first", "second"]


@pytest.mark.usefixtures("puts_away")
async def test_a_task_that_is_cancelled_while_its_turn_sleeps_is_over() -> None:
    told: list[str] = []

    class Sleepy(Agent):
        """Sleeps."""

        async def run(self, turn: Turn) -> None:
            await turn.sleep(LONG)

        async def cancel(self, task: Task, caller: TurnCaller) -> None:
            told.append(task.id)

    with client_of(Sleepy(), durable=True) as client:
        task = await client.send(return_immediately=True)
        run = await is_asleep()
        canceled = await client.cancel(task.id)
        assert canceled.status.state is TaskState.CANCELED
        await database.run(run.refresh_from_db)
        assert (run.outcome, told) == (Outcome.DROPPED, [task.id])
        assert await database.run(wake, run.task_id) is None
        await database.run(let_time_pass)
        agenda = await database.run(read_agenda, [client.call.agent.slug], 10)
    assert agenda.due == []


async def test_a_turn_that_sleeps_has_none_of_its_owners_places(a2a: ChangeSettings) -> None:
    a2a(PUT_AWAY_SECONDS=0, RUNNING_TURNS_PER_OWNER=1, WAITING_TURNS_PER_OWNER=1)

    async def agent(turn: Turn) -> str:
        if turn.text != "awake":
            await turn.sleep(LONG)
        return turn.text

    with client_of(agent, durable=True) as client:
        tasks = []
        for number in range(3):
            tasks.append(await client.send(f"{number}", return_immediately=True))
            await until(partial(are_asleep, number + 1))
        assert (await client.send("awake")).status.state is TaskState.COMPLETED
        await database.run(let_time_pass)
        await runners.current().begin()
        await ring(None)
        for task in tasks:
            assert (await ended(client, task)).status.state is TaskState.COMPLETED


async def test_only_a_durable_agent_sleeps_and_only_for_a_time_that_is_one() -> None:
    raised: list[str] = []

    async def agent(turn: Turn) -> None:
        lengths = (-1, timedelta(seconds=-1), datetime(2030, 1, 1), timedelta.max, 1e15, inf)
        for length in lengths:
            try:
                await turn.sleep(length)
            except (TypeError, ValueError) as error:
                raised.append(str(error))

    for is_durable in (False, True):
        with client_of(agent, durable=is_durable) as client:
            await client.send()
    assert ["durable=True" in text for text in raised] == [True] * 6 + [False] * 6
    assert ["below 0" in text for text in raised[6:9]] == [True, True, False]
    assert "time zone" in raised[8]
    assert ["before the year 10000" in text for text in raised[9:]] == [True] * 3


async def test_the_function_of_a_step_uses_no_verbs() -> None:
    refused: list[str] = []

    async def agent(turn: Turn) -> None:
        verbs = {"step": ("inner", str), "sleep": (LONG,), "wait_for": ("payment",)}
        verbs |= {"ask": ("billing",), "approve": ("Pay?",), "working": ("Paying.",)}
        for verb, args in verbs.items():
            with pytest.raises(StepError) as caught:
                await turn.step(verb, getattr(turn, verb), *args, returns=Any)
            refused.append(caught.value.text)

    with client_of(agent, durable=True) as client:
        await asyncio.wait_for(client.send(), SECONDS)
    assert [text.startswith("The function of the step") for text in refused] == [True] * 6


async def test_another_attempt_that_works_where_the_first_has_slept_fails() -> None:
    async def agent(turn: Turn) -> None:
        if turn.attempt == 1:
            await turn.sleep(LONG)
        await turn.step("work", str)

    with client_of(agent, durable=True) as client:
        task = await client.send(return_immediately=True)
        await wake_up()
        await ended(client, task)
    failed = models.Run.objects.exclude(error="")
    error = (await database.run(failed.get)).error
    assert "it then came to a sleep, and now to 'work'." in error
