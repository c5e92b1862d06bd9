"""What an agent reads while it works, and how it waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.agents import Turn
from a2a_app.database.values import new_key
from a2a_app.protocol import Message, Part, Role, TaskState
from tests.clients.operations import client_of
from tests.outages import away, logged

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
READINGS: dict[str, Callable[[Turn], Awaitable[Any]]] = {
    "history": lambda turn: turn.history(),
    "messages": lambda turn: turn.context.messages(),
    "read": lambda turn: turn.read(turn.message.parts[0]),
    "referenced_tasks": lambda turn: turn.referenced_tasks(),
}


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


if connection.vendor == "postgresql":  # on SQLite nobody waits who reads

    @pytest.mark.usefixtures("reconnecting")
    @pytest.mark.parametrize("what", READINGS)
    async def test_what_an_agent_reads_waits_for_a_database_that_is_away(
        what: str, settings: Settings
    ) -> None:
        settings.A2A = {**settings.A2A, "RAW_LIMIT": 1, "POLL_SECONDS": 600}
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def agent(turn: Turn) -> str:
            begun.set()
            await go_on.wait()
            await READINGS[what](turn)
            return "read"

        message = Message(
            message_id="m",
            role=Role.USER,
            parts=[Part(raw=b"too long for a row")],
            reference_task_ids=[str(new_key())],
        )
        with client_of(agent, input_modes=["*/*"]) as client:
            sending = asyncio.create_task(client.send(message))
            await asyncio.wait_for(begun.wait(), SECONDS)
            with away(), logged("a2a_app.database") as told:
                go_on.set()
                async with asyncio.timeout(SECONDS):
                    await told.wait()
                    # Whoever was the first to hear of it, the agent has too by then.
                    while not database.is_idle():  # noqa: ASYNC110  # threads tell nobody
                        await asyncio.sleep(0)
            task = await sending
        assert task.status.state is TaskState.COMPLETED
