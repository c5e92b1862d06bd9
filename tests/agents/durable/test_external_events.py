"""Turns that wait for what happens elsewhere, and the code of a project that tells them of it."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction
from pydantic import BaseModel

from a2a_app import database, events, models, runners
from a2a_app.agents import Turn
from a2a_app.agents.durable.waits import Waits
from a2a_app.protocol import Part, TaskState
from a2a_app.testing.clock import Clock
from a2a_app.testing.runtime import within
from tests.approvals import answer, said
from tests.clients.operations import client_of
from tests.conftest import ChangeSettings
from tests.sleepers import SECONDS, asleep, ended, is_asleep, until, wake_up

pytestmark = pytest.mark.usefixtures("runtime")

LONG = timedelta(days=3)


class Payment(BaseModel):
    """What somebody has paid."""

    amount: int
    on: date


@pytest.fixture
def puts_away(a2a: ChangeSettings) -> None:
    """Have turns put away at once, whatever they wait for, and nobody look for them by himself."""
    a2a(PUT_AWAY_SECONDS=0, SWEEP_SECONDS=60)


async def text_of(client: Any, task: Any) -> str:
    return str((await ended(client, task)).artifacts[0].parts[0].text)


@pytest.mark.usefixtures("puts_away")
@pytest.mark.parametrize("is_sent", ["by a thread", "by a coroutine"])
async def test_a_turn_that_is_put_away_goes_on_with_the_event(is_sent: str) -> None:
    payment = Payment(amount=5, on=date(2026, 1, 2))

    async def agent(turn: Turn) -> str:
        paid = await turn.wait_for("payment", returns=Payment)
        return f"{paid!r} in attempt {turn.attempt}"

    with client_of(agent, durable=True) as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        await is_asleep()
        if is_sent == "by a thread":
            assert await sync_to_async(events.send)(task.id, "payment", payment)
        else:
            assert await events.asend(task.id, "payment", payment)
        assert await text_of(client, task) == f"{payment!r} in attempt 2"


async def test_an_event_comes_at_once_to_a_turn_whose_process_waits(a2a: ChangeSettings) -> None:
    a2a(PUT_AWAY_SECONDS=1000)

    async def agent(turn: Turn) -> str:
        return f"{await turn.wait_for('payment')} in attempt {turn.attempt}"

    with client_of(agent, durable=True) as client:
        task = await client.send(return_immediately=True)
        await until(models.Step.objects.exists)
        assert await events.asend(task.id, "other", "refused")
        assert await sync_to_async(events.send)(task.id, "payment", "paid")
        async with asyncio.timeout(SECONDS):
            assert await text_of(client, task) == "paid in attempt 1"


@pytest.mark.usefixtures("puts_away")
async def test_events_are_kept_until_somebody_waits_and_each_is_given_once() -> None:
    async def agent(turn: Turn) -> None:
        got = [await turn.wait_for("payment") for _ in range(2)]
        await turn.input_required(f"{got}") if turn.text == "first" else await turn.complete(
            f"{got}"
        )

    with client_of(agent, durable=True) as client:
        await runners.current().begin()
        task = await client.send("first", return_immediately=True)
        await is_asleep()
        for data in (1, 2, 3, 4):
            assert await events.asend(task.id, "payment", data, key=f"{data}")
        # A webhook that is delivered twice counts once.
        assert await events.asend(task.id, "payment", 9, key="4")
        await until(models.Task.objects.filter(state=TaskState.INPUT_REQUIRED).exists)
        first = await client.get(task.id)
        done = await client.send(answer(first, Part(text="second")))
        kept = await database.run(lambda: list(models.ExternalEvent.objects.values("data")))
        assert (said(first), said(done)) == ("[1, 2]", "[3, 4]")
        assert kept == 4 * [{"data": None}]
        assert not await events.asend(task.id, "payment", 5)


@pytest.mark.usefixtures("puts_away")
async def test_the_senders_transaction_decides_whether_there_is_an_event() -> None:
    class NotPaidError(Exception):
        pass

    @sync_to_async
    def pay(task_id: str, *, is_paid: bool) -> None:
        with transaction.atomic():
            events.send(task_id, "payment", is_paid)
            if not is_paid:
                raise NotPaidError

    async def agent(turn: Turn) -> str:
        return str(await turn.wait_for("payment"))

    with client_of(agent, durable=True) as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        run = await is_asleep()
        with pytest.raises(NotPaidError):
            await pay(task.id, is_paid=False)
        assert await database.run(models.ExternalEvent.objects.count) == 0
        await database.run(run.refresh_from_db)
        assert run.wakes_at is None
        await pay(task.id, is_paid=True)
        assert await text_of(client, task) == "True"


@pytest.mark.usefixtures("puts_away")
async def test_a_wait_that_is_too_late_raises_the_same_in_each_attempt() -> None:
    raised: list[str] = []

    async def agent(turn: Turn) -> None:
        try:
            await turn.wait_for("payment", timeout=LONG)
        except TimeoutError as error:
            raised.append(str(error))
        await turn.sleep(LONG)

    with client_of(agent, durable=True) as client:
        task = await client.send(return_immediately=True)
        await wake_up()
        await until(models.Step.objects.filter(kind="sleep").exists)
        # It is too late for this wait, and the next one would get it.
        assert await events.asend(task.id, "payment", 1)
        await wake_up()
        await ended(client, task)
    assert raised == 2 * ["No event 'payment' has come in time."]


async def test_in_tests_a_wait_goes_by_the_clock_that_is_put_forward(a2a: ChangeSettings) -> None:
    a2a(PUT_AWAY_SECONDS=1e9)
    clock, waits = Clock(asyncio.get_running_loop()), list[Waits]()

    async def agent(turn: Turn) -> str:
        waits.append(turn.waits)
        try:
            await turn.wait_for("payment", timeout=10)
        except TimeoutError as error:
            return str(error)
        return "came"

    clock.freeze()
    with client_of(agent, durable=True) as client:
        sending = asyncio.create_task(client.send())
        async with within(SECONDS, "The turn does not wait"):
            while not (waits and waits[0].are_all):  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0)
        clock.advance(10)
        task = await sending
    clock.restore()
    assert task.artifacts[0].parts[0].text == "No event 'payment' has come in time."


@pytest.mark.usefixtures("puts_away")
async def test_waits_beside_each_other_end_with_the_one_that_comes_first() -> None:
    async def agent(turn: Turn) -> str:
        paid, _ = await asyncio.gather(turn.wait_for("payment"), turn.sleep(LONG))
        return str(paid)

    with client_of(agent, durable=True) as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        run = await is_asleep()
        assert run.wakes_at is not None
        assert await events.asend(task.id, "payment", "paid")
        await until(models.Step.objects.exclude(ended_at=None).exists)
        again = await is_asleep()
        assert (again.attempt, again.wakes_at) == (run.attempt + 1, run.wakes_at)
        await wake_up()
        assert await text_of(client, task) == "paid"


@pytest.mark.usefixtures("puts_away")
async def test_a_synchronous_agent_waits_for_an_event() -> None:
    def agent(turn: Turn) -> str:
        return str(turn.wait(turn.wait_for("payment")))

    with client_of(agent, durable=True) as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        await is_asleep()
        assert await events.asend(task.id, "payment", "paid")
        assert await text_of(client, task) == "paid"


@pytest.mark.usefixtures("puts_away")
async def test_events_that_come_as_the_turn_is_put_away_are_found() -> None:
    async def agent(turn: Turn) -> str:
        return "".join([str(await turn.wait_for("letter")) for _ in range(8)])

    with client_of(agent, durable=True) as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        for letter in "sleeping":
            assert await events.asend(task.id, "letter", letter)
        assert await text_of(client, task) == "sleeping"
        assert await database.run(asleep) == []


async def test_an_event_and_a_step_may_have_any_name() -> None:
    name = "a\x00b\ud800/\n"

    async def agent(turn: Turn) -> str:
        await turn.step(name, str)
        assert await events.asend(turn.task_id, name, "paid", key=name)
        assert await events.asend(turn.task_id, name, "paid again", key=name)
        return str(await turn.wait_for(name))

    with client_of(agent, durable=True) as client:
        task = await client.send()
    assert task.artifacts[0].parts[0].text == "paid"
    assert await database.run(models.ExternalEvent.objects.count) == 1


async def test_what_is_no_event_is_refused_and_what_is_no_task_has_none() -> None:
    for task_id in ("no uuid", str(uuid4())):
        assert not await events.asend(task_id, "payment", 1)
    for wrong in ({"name": ""}, {"name": "n" * 201}, {"name": "payment", "key": "k" * 201}):
        with pytest.raises(ValueError, match="200 characters"):
            await events.asend(UUID(int=1), **wrong)

    async def agent(turn: Turn) -> None:
        await turn.wait_for("")

    with client_of(agent, durable=True) as client:
        assert (await client.send()).status.state is TaskState.FAILED
