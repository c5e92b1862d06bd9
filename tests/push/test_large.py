"""Large tasks and events for webhooks: how much of them is in memory at once."""

import asyncio

import pytest
from pytest_django import Settings

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.concurrency.budget import reserve
from a2a_app.operations import push
from tests.clients.operations import OperationsClient, client_of
from tests.push.test_delivery import SECONDS, config, failing, settled
from tests.receiver import Receiver, receiving

pytestmark = pytest.mark.usefixtures("runtime")


async def work_for(
    client: OperationsClient, asked: asyncio.Event, receiver: Receiver, *, begins_with_task: bool
) -> None:
    """Have a receiver get the end of a task, or the task once it has ended, which is large."""
    asked.clear()
    webhook = None if begins_with_task else config(receiver)
    task = await client.send(return_immediately=True, task_push_notification_config=webhook)
    asked.set()
    if begins_with_task:
        ended = models.Task.objects.filter(pk=task.id, state="TASK_STATE_COMPLETED")
        async with asyncio.timeout(SECONDS):
            while not await database.run(ended.exists):
                pass
        await push.create_push_config(client.call, config(receiver, task_id=task.id))


@pytest.mark.parametrize("begins_with_task", [False, True])
async def test_what_is_large_has_room_in_memory_until_it_is_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, begins_with_task: bool
) -> None:
    monkeypatch.setattr("a2a_app.push.payloads.ROOM_SECONDS", 0.05)
    settings.A2A = {
        **settings.A2A,
        "STREAM_BYTES": 20_000,
        "ANSWER_BYTES": 1,  # room for one
        "PUSH_SNAPSHOT": begins_with_task,
        "PUSH_HOSTS": ["127.0.0.1"],
        "PUSH_ALLOW_HTTP": True,
        "PUSH_RETRY_SECONDS": 0.01,
        "SWEEP_SECONDS": 0.1,
    }
    asked = asyncio.Event()

    async def tells_much(turn: Turn) -> None:
        await asked.wait()
        await turn.complete("much" * 10_000)

    with client_of(tells_much) as client:
        await runners.current().begin()
        async with receiving() as receiver:
            with reserve("another", 1):
                await work_for(client, asked, receiver, begins_with_task=begins_with_task)
                assert (await failing()).error.startswith("There is no room in memory for it")
                assert receiver.requests == []
            await receiver.gets(1)
            await settled()
        async with receiving(lambda number: 0) as hanging:
            await work_for(client, asked, hanging, begins_with_task=begins_with_task)
            await hanging.gets(1)
            room = reserve("another", 1)
            assert not room.is_granted
        with room:
            assert await room.wait(SECONDS)
