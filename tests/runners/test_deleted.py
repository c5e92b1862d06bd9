"""A task that is deleted while an agent works on it: the agent is stopped."""

import asyncio
import logging

import pytest
from asgiref.sync import sync_to_async

from a2a_app import models, runners
from a2a_app.agents import Turn
from tests.clients.operations import client_of
from tests.gate import SECONDS

pytestmark = pytest.mark.usefixtures("runtime")


async def test_an_agent_whose_task_is_deleted_is_stopped_by_its_next_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "a2a_app")
    begun, go_on, stopped = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def agent(turn: Turn) -> None:
        begun.set()
        await go_on.wait()
        try:
            await turn.working("Nobody will read this.")
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with client_of(agent) as client:
        await client.send(return_immediately=True)
        await asyncio.wait_for(begun.wait(), SECONDS)
        await sync_to_async(models.Task.objects.all().delete)()
        go_on.set()
        await asyncio.wait_for(stopped.wait(), SECONDS)
        await runners.current().close()
    assert "There is no such task any more." in caplog.text
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
