"""A task that is deleted while a client writes to it: the client learns that there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings

from a2a_app import models
from a2a_app.agents import Turn
from a2a_app.protocol import TaskNotFoundError
from tests.clients.operations import OperationsClient, client_of
from tests.gate import SECONDS, Gate
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

Late: TypeAlias = Callable[[OperationsClient, str], Awaitable[object]]
WRITES: dict[str, Late] = {
    "a message": lambda client, task_id: client.send(new_message(task_id=task_id)),
    "a cancel": lambda client, task_id: client.cancel(task_id),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_client_that_writes_to_a_task_that_is_deleted_meanwhile_finds_none(
    settings: Settings, write: Late
) -> None:
    settings.A2A = {**settings.A2A, "DATABASE_THREADS": 1}

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
