"""Webhooks that are delivered while the database is away: their leases run out."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.agents import Turn
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.push.deliverer import Deliverer
from tests.clients.operations import OperationsClient, client_of
from tests.outages import away, lose_patience
from tests.receiver import receiving

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 30


@pytest.fixture(autouse=True)
def _open_to_loopback(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "PUSH_HOSTS": ["127.0.0.1"], "PUSH_ALLOW_HTTP": True}


def worker(turn: Turn) -> str:
    return "done"


@pytest.fixture
def client() -> Iterator[OperationsClient]:
    with client_of(worker) as made:
        yield made


async def test_a_failure_that_cannot_be_recorded_is_left_to_the_lease(
    client: OperationsClient, reconnecting: None
) -> None:
    deliverer = Deliverer("one")
    with ExitStack() as outage:

        def fail(_: int) -> int:
            outage.enter_context(away())
            return 500

        async with receiving(fail) as receiver:
            await client.send(
                "one", task_push_notification_config=TaskPushNotificationConfig(url=receiver.url)
            )
            await database.run(lose_patience)
            await deliverer.look()
            [delivery] = deliverer._deliveries.values()
            async with asyncio.timeout(SECONDS):
                await delivery
    row = await database.run(models.PushNotificationConfig.objects.get)
    assert (row.failures, row.worker) == (0, "one")


async def test_a_deliverer_that_ends_without_a_database_leaves_its_webhooks_to_their_leases(
    client: OperationsClient, reconnecting: None
) -> None:
    deliverer = Deliverer("one")
    async with receiving(lambda number: 0) as hanging:
        await client.send(
            "one", task_push_notification_config=TaskPushNotificationConfig(url=hanging.url)
        )
        await deliverer.look()
        await hanging.gets(1)
        await database.run(lose_patience)
        with away():
            await deliverer.close()
    row = await database.run(models.PushNotificationConfig.objects.get)
    assert (row.failures, row.worker) == (0, "one")
