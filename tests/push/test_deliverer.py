"""What a deliverer does between two looks for webhooks that are due."""

import asyncio
from uuid import UUID

import pytest
from pytest_django import Settings

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.push.deliverer import Deliverer
from a2a_app.store.updates import Webhook
from a2a_app.store.webhooks import announce, put_webhook
from tests.clients.operations import client_of
from tests.gate import Gate
from tests.receiver import Receiver, receiving
from tests.tasks import begin

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 30


def worker(turn: Turn) -> str:
    return "done"


def config(receiver: Receiver) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(id="mine", url=receiver.url)


def replace(task_id: UUID, receiver: Receiver) -> None:
    """Have a task's webhook be another one, which is due."""
    put_webhook(task_id, Webhook(config(receiver), "127.0.0.1"), owner="", after=0)
    announce(task_id, 1)


async def test_a_webhook_that_is_replaced_gets_nothing_before_its_old_delivery_has_ended(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_HOSTS": ["127.0.0.1"], "PUSH_ALLOW_HTTP": True}
    deliverer = Deliverer("one")
    with client_of(worker) as client:
        async with receiving() as new:
            async with receiving(lambda number: 0) as old:
                task = await client.send("one", task_push_notification_config=config(old))
                await deliverer.look()
                await old.gets(1)
                [delivery] = deliverer._deliveries.values()
                await database.run(replace, UUID(task.id), new)
                await deliverer.look()
                stored = await database.run(models.PushNotificationConfig.objects.get)
                assert stored.worker == ""
            async with asyncio.timeout(SECONDS):
                await delivery
            await deliverer.look()
            await new.gets(1)
            await deliverer.close()


async def test_a_webhook_that_is_claimed_as_the_process_ends_is_left_to_others_at_once(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "DATABASE_THREADS": 1, "SWEEP_SECONDS": 600}
    gate, runner = Gate(), runners.current()
    task_id = (await database.run(begin)).head.task_id
    await database.run(replace, task_id, Receiver())
    await gate.put()
    await runner.begin()
    assert await asyncio.to_thread(gate.reached.wait, SECONDS)
    closing = asyncio.create_task(runner.close())
    # More steps than it takes to come to what waits.
    for _ in range(50):
        await asyncio.sleep(0)
    await runner.begin()
    assert not runner.is_at_work, "nothing begins again while all is being ended"
    gate.open.set()
    await closing
    stored = await database.run(models.PushNotificationConfig.objects.get)
    assert stored.worker == ""
