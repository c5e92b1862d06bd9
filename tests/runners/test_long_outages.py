"""A database that is away for longer than a lease: the turn under way counts as lost (R7)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pytest_django import Settings

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.models.run import Outcome
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of
from tests.outages import away, lose_patience

pytestmark = pytest.mark.usefixtures("runtime", "reconnecting")

SECONDS = 20


async def says_something(turn: Turn) -> None:
    await turn.working("This is not stored.")
    await asyncio.Event().wait()


async def does_a_step(turn: Turn) -> None:
    await turn.step("once", int)


@pytest.mark.slow
@pytest.mark.parametrize("work", [says_something, does_a_step])
async def test_a_turn_whose_database_was_away_for_long_is_given_up_and_begun_again(
    settings: Settings, work: Callable[[Turn], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "a2a_app.runners")
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 0.6, "SWEEP_SECONDS": 0.05}
    begun, go_on, given_up, is_back = (asyncio.Event() for _ in range(4))

    async def agent(turn: Turn) -> str:
        if turn.attempt > 1:
            return "begun again"
        begun.set()
        await go_on.wait()
        try:
            await work(turn)
        finally:
            given_up.set()
            await is_back.wait()
        return "as if nothing had happened"

    with client_of(agent, attempts=2) as client:
        sending = asyncio.create_task(client.send())
        await asyncio.wait_for(begun.wait(), SECONDS)
        await database.run(lose_patience)
        with away():
            go_on.set()
            await asyncio.wait_for(given_up.wait(), SECONDS)
        is_back.set()
        await runners.current().begin()
        task = await sending
    assert task.status.state is TaskState.COMPLETED
    # What it was about to say was refused, and what it did has failed.
    said = "not brought to an end" if work is does_a_step else f"of task {task.id}: "
    assert said in caplog.text
    outcomes = models.Run.objects.order_by("attempt").values_list("outcome", flat=True)
    assert await database.read(lambda: list(outcomes)) == [Outcome.LOST, Outcome.COMPLETED]
