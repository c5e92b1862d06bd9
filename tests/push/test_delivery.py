"""Notifications (sections 4.3.3 and 13.2): what a webhook gets, failures, and who delivers."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from a2a_app import database, models, runners
from a2a_app.agents import Turn
from a2a_app.concurrency.shares import Shares
from a2a_app.operations import push
from a2a_app.protocol import (
    AuthenticationInfo,
    DeleteTaskPushNotificationConfigRequest,
    Task,
    TaskPushNotificationConfig,
)
from a2a_app.push import sender
from a2a_app.store import deliveries, webhooks
from a2a_app.store.deliveries import Delivery, Room
from a2a_app.store.secrets import seal
from tests.clients.operations import OperationsClient, client_of
from tests.receiver import Receiver, receiving
from tests.servers import free_port
from tests.tasks import new_message
from tests.wire import state, text

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 30


@pytest.fixture(autouse=True)
def _open_to_loopback(settings: Settings) -> None:
    settings.A2A = {
        **settings.A2A,
        "PUSH_HOSTS": ["127.0.0.1"],
        "PUSH_ALLOW_HTTP": True,
        "PUSH_RETRY_SECONDS": 0.01,
        "SWEEP_SECONDS": 0.1,
    }


async def worker(turn: Turn) -> None:
    await turn.working("on it")
    artifact = turn.open_artifact()
    for word in turn.text.split():
        await artifact.write(word)
    await turn.complete()


def asker(turn: Turn) -> None:
    if turn.number == 1:
        turn.input_required("Go on?")


@pytest.fixture
def client() -> Iterator[OperationsClient]:
    with client_of(worker, repeats_artifacts=False) as made:
        yield made


def config(receiver: Receiver, **more: Any) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(url=receiver.url, **more)


async def send(client: OperationsClient, text: str, webhook: TaskPushNotificationConfig) -> Task:
    await runners.current().begin()
    return await client.send(text, task_push_notification_config=webhook)


def notified(receiver: Receiver) -> list[str]:
    return [state(body) or text(body) for body in receiver.bodies]


async def settled() -> None:
    """Wait until nothing is due any more."""
    async with asyncio.timeout(SECONDS):
        while await database.run(models.PushNotificationConfig.objects.exclude(due_at=None).count):
            pass


async def test_a_webhook_gets_every_event_after_its_message_in_order_and_once(
    client: OperationsClient,
) -> None:
    async with receiving() as receiver:
        task = await send(client, "one two", config(receiver, id="mine"))
        await receiver.gets(4)
        await settled()
    assert notified(receiver) == ["WORKING", "one", "two", "COMPLETED"]
    assert all(
        (body.get("statusUpdate") or body["artifactUpdate"])["taskId"] == task.id
        for body in receiver.bodies
    )
    [first, *_] = receiver.requests
    assert first.headers[""] == "POST /hook?of=me HTTP/1.1"
    assert first.headers["content-type"] == "application/a2a+json"
    assert first.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert "authorization" not in first.headers


async def test_a_webhook_is_given_its_credentials_and_its_token_which_nobody_else_sees(
    client: OperationsClient,
) -> None:
    secret = AuthenticationInfo(scheme="Bearer", credentials="open sesame")
    async with receiving() as receiver:
        task = await send(
            client, "x", config(receiver, id="a", token="tick", authentication=secret)
        )
        await receiver.gets(3)
        await settled()
    for request in receiver.requests:
        assert request.headers["authorization"] == "Bearer open sesame"
        assert request.headers["x-a2a-notification-token"] == "tick"
    found = await database.run(webhooks.get, client.call.scope, task.id, "a")
    assert "sesame" not in found.to_json() and "tick" not in found.to_json()
    row = await database.run(models.PushNotificationConfig.objects.get)
    assert "sesame" not in row.secrets and "tick" not in row.secrets


async def test_a_configuration_made_later_gets_what_comes_later() -> None:
    with client_of(asker) as client:
        await runners.current().begin()
        task = await client.send("begin")
        async with receiving() as receiver:
            await push.create_push_config(client.call, config(receiver, task_id=task.id))
            await client.send(answer_to(task))
            await receiver.gets(2)
            await settled()
    assert notified(receiver) == ["SUBMITTED", "COMPLETED"]


async def test_a_configuration_made_while_a_run_writes_misses_nothing_after_it() -> None:
    go_on = asyncio.Event()

    async def agent(turn: Turn) -> None:
        await turn.working("first")
        await go_on.wait()
        await turn.working("second")

    with client_of(agent) as client:
        await runners.current().begin()
        task = await client.send(return_immediately=True)
        stream = client.subscribe(task.id)
        while state(await anext(stream)) != "WORKING":
            pass
        async with receiving() as receiver:
            await push.create_push_config(client.call, config(receiver, task_id=task.id))
            go_on.set()
            await receiver.gets(2)
    assert notified(receiver) == ["WORKING", "COMPLETED"]


async def test_a_receiver_that_fails_gets_everything_in_order_once_it_is_back(
    client: OperationsClient,
) -> None:
    # The second request fails three times.
    async with receiving(lambda number: 500 if number in (2, 3, 4) else 204) as receiver:
        await send(client, "one two", config(receiver))
        await receiver.gets(7)
        await settled()
    assert notified(receiver) == ["WORKING", *["one"] * 4, "two", "COMPLETED"]


async def test_a_receiver_that_is_not_there_gets_everything_once_it_is(
    client: OperationsClient,
) -> None:
    gone = Receiver(port=free_port())
    await send(client, "one", config(gone))
    await failing()
    async with receiving(port=gone.port) as receiver:
        await receiver.gets(3)
        await settled()
    assert notified(receiver) == ["WORKING", "one", "COMPLETED"]


async def test_a_redirect_is_not_followed(client: OperationsClient) -> None:
    async with receiving() as elsewhere:
        async with receiving(lambda number: 307, location=elsewhere.url) as receiver:
            await send(client, "one", config(receiver))
            row = await failing()
        assert elsewhere.requests == []
    assert row.error == "The answer was 307."


@pytest.mark.slow
async def test_a_receiver_that_hangs_is_given_up_on_and_holds_up_no_other(
    client: OperationsClient, settings: Settings
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_TIMEOUT_SECONDS": 0.5}
    async with receiving(lambda number: 0) as hanging, receiving() as quick:
        await send(client, "one", config(hanging))
        await hanging.gets(1)
        await send(client, "one", config(quick))
        await quick.gets(3)
        row = await failing()
    assert row.error == "No answer came in time."


@pytest.mark.slow
async def test_a_webhook_that_fails_for_too_long_is_given_up_and_can_be_sent_again(
    client: OperationsClient, settings: Settings
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_PATIENCE_SECONDS": 0}
    async with receiving(lambda number: 500 if number == 1 else 204) as receiver:
        await send(client, "one", config(receiver))
        async with asyncio.timeout(SECONDS):
            while await database.run(
                models.PushNotificationConfig.objects.filter(dead_at=None).count
            ):
                pass
        assert (
            await database.run(deliveries.resend, models.PushNotificationConfig.objects.all()) == 1
        )
        await receiver.gets(4)
        await settled()
    assert notified(receiver) == ["WORKING", "WORKING", "one", "COMPLETED"]


async def test_a_deleted_configuration_gets_nothing_more() -> None:
    with client_of(asker) as client:
        async with receiving() as receiver:
            task = await send(client, "begin", config(receiver, id="mine"))
            await receiver.gets(1)
            await settled()
            gone = DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
            await push.delete_push_config(client.call, gone)
            await client.send(answer_to(task))
            await settled()
    assert notified(receiver) == ["INPUT_REQUIRED"]


async def test_without_chunks_a_webhook_gets_the_changes_of_status(
    client: OperationsClient, settings: Settings
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_CHUNKS": False}
    async with receiving() as receiver:
        await send(client, "one two", config(receiver))
        await receiver.gets(2)
        await settled()
    assert notified(receiver) == ["WORKING", "COMPLETED"]


async def test_a_webhook_whose_deliverer_died_is_taken_over(client: OperationsClient) -> None:
    async with receiving() as receiver:
        task = await client.send("one", task_push_notification_config=config(receiver))
        lease = timedelta(seconds=-1)
        [taken] = await claim("a process that is gone", lease)
        assert await database.run(deliveries.advance, taken, 2, lease=lease)
        await runners.current().begin()
        await receiver.gets(2)
        await settled()
        assert not await database.run(deliveries.advance, taken, 3, lease=lease)
    assert notified(receiver) == ["one", "COMPLETED"]
    assert task.status.state == "TASK_STATE_COMPLETED"


async def test_of_many_processes_one_delivers(client: OperationsClient) -> None:
    async with receiving() as receiver:
        await client.send("one", task_push_notification_config=config(receiver))
    lease = timedelta(seconds=30)
    claims = [claim(name, lease) for name in "abcd"]
    assert sum(len(taken) for taken in await asyncio.gather(*claims)) == 1


async def claim(worker: str, lease: timedelta) -> list[Delivery]:
    """Claim what is due, as a process does that delivers nothing yet."""
    room = Room(Shares(50))
    claimed = await database.run(
        deliveries.claim_due, worker, limit=9, lease=lease, room=room, after=-1
    )
    return claimed.deliveries


async def failing() -> models.PushNotificationConfig:
    """Wait until a configuration has failed, and return it."""
    rows = models.PushNotificationConfig.objects.exclude(failing_since=None)
    async with asyncio.timeout(SECONDS):
        while (row := await database.run(rows.first)) is None:
            pass
    return row


def answer_to(task: Task) -> Any:
    return new_message("go on", task_id=task.id, context_id=task.context_id)


async def test_a_receiver_that_never_ends_its_answer_gets_every_event_once(
    client: OperationsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "READ_SECONDS", 0.05)
    async with receiving(ends=False) as receiver:
        await send(client, "one", config(receiver))
        await receiver.gets(3)
        await settled()
    assert notified(receiver) == ["WORKING", "one", "COMPLETED"]


@pytest.mark.slow
async def test_a_delivery_that_fails_for_an_unknown_reason_counts_and_is_given_up(
    client: OperationsClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.A2A = {**settings.A2A, "PUSH_PATIENCE_SECONDS": 0}
    async with receiving() as receiver:
        await send(client, "one", config(receiver))
        await receiver.gets(3)
        await settled()
        # As an older version may have stored it, which did not refuse it.
        stored = models.PushNotificationConfig.objects
        secrets = seal({"token": "secret-with-a-blank "})
        await database.run(
            lambda: stored.update(secrets=secrets, delivered=1, due_at=timezone.now())
        )
        await settled()
    row = await database.run(stored.get)
    assert row.dead_at is not None
    assert (row.failures, row.error) == (1, "The request cannot be sent: LocalProtocolError.")
    assert "secret-with-a-blank" not in caplog.text


@pytest.mark.slow
async def test_a_webhook_of_a_user_who_is_deactivated_or_deleted_gets_nothing_more() -> None:
    user = await database.run(User.objects.create, username="ann")
    with client_of(asker) as made:
        client = OperationsClient(made.call.agent, f"user:{user.pk}")
        async with receiving() as receiver:
            for end in (lambda: User.objects.update(is_active=False), user.delete):
                await database.run(User.objects.update, is_active=True)
                task = await send(client, "begin", config(receiver, id="mine"))
                await settled()
                got = len(receiver.requests)
                await database.run(end)
                stored = models.Task.objects.filter(pk=UUID(task.id))
                # A deleted user's tasks have another owner, who is nobody.
                owner = await database.run(stored.values_list("owner", flat=True).get)
                await OperationsClient(made.call.agent, owner).send(answer_to(task))
                await settled()
                assert len(receiver.requests) == got > 0
                row = await database.run(
                    models.PushNotificationConfig.objects.filter(task_id=UUID(task.id)).get
                )
                assert row.dead_at is not None
                assert row.error == "Its owner is not active any more."
