"""What an agent reads while it works, and how it waits for it."""

import pytest

from a2a_app import database, models
from a2a_app.agents import Turn
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of

pytestmark = pytest.mark.usefixtures("runtime")


async def test_an_agent_with_async_that_waits_like_one_without_is_told_to_await() -> None:
    async def waits(turn: Turn) -> str:
        return turn.wait(turn.history())[0].text

    with client_of(waits) as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    run = await database.run(models.Run.objects.get)
    assert (
        "RuntimeError: turn.wait is for agents without `async`: await the coroutine." in run.error
    )
