"""A task that is deleted while somebody is at it: nobody works on, and nobody is misled."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from asgiref.sync import sync_to_async

from a2a_app import models, runners
from a2a_app.agents import Turn
from a2a_app.protocol import TaskNotFoundError
from tests.calls import Client, client_of
from tests.runners.test_leaving import SECONDS, Gate
from tests.tasks import said

pytestmark = pytest.mark.usefixtures("runtime")

Late: TypeAlias = Callable[[Client, str], Awaitable[object]]
WRITES: dict[str, Late] = {
    "a message": lambda client, task_id: client.send(said(task_id=task_id)),
    "a cancel": lambda client, task_id: client.cancel(task_id),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_who_writes_to_a_task_that_is_deleted_meanwhile_finds_none(write: Late) -> None:
    async def agent(turn: Turn) -> None:
        await turn.input_required("Which one?")

    with client_of(agent) as client:
        task, gate = await client.send(), Gate()
        await gate.put()
        writing = asyncio.ensure_future(write(client, task.id))
        assert await asyncio.to_thread(gate.reached.wait, SECONDS)
        await sync_to_async(models.Task.objects.all().delete)()
        gate.open.set()
        with pytest.raises(TaskNotFoundError):
            await writing
    assert not await models.Message.objects.aexists()


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
