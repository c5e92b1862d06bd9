"""Fairness: an owner with many webhooks that are slow keeps nobody else's waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from a2a_app import conf, database, models, runners
from a2a_app.agents import Turn
from a2a_app.concurrency.shares import Shares
from a2a_app.models.owners import queue_of, queues_of
from a2a_app.operations import push
from a2a_app.protocol import TaskPushNotificationConfig
from a2a_app.store import deliveries
from a2a_app.store.deliveries import LOOKS, Claimed, Room
from tests.clients.operations import OperationsClient, client_of
from tests.listening import listening
from tests.receiver import receiving
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 30
HOSTS = [f"127.0.1.{number}" for number in range(1, 61)]
LEASE = timedelta(seconds=30)


def asker(turn: Turn) -> None:
    if turn.number == 1:
        turn.input_required("Go on?")


@asynccontextmanager
async def never_answering(count: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Accept connections on all of HOSTS; yield the port, and an event at so many of them."""
    reached = asyncio.Event()
    connections = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections >= count:
            reached.set()
        await asyncio.Event().wait()

    async with listening(hang, host="0.0.0.0") as port:  # for all of HOSTS
        yield port, reached


@pytest.mark.slow
async def test_webhooks_that_never_answer_do_not_hold_up_another_owner(settings: Settings) -> None:
    settings.A2A = {
        **settings.A2A,
        "PUSH_HOSTS": ["127.0.0.1", *HOSTS],
        "PUSH_ALLOW_HTTP": True,
        "PUSH_CONFIGS_PER_TASK": len(HOSTS),
        "PUSH_TIMEOUT_SECONDS": 60,
    }
    most = conf.current().push_concurrency * 4 // 5
    with client_of(asker) as client:
        other = OperationsClient(client.call.agent, "name:other")
        async with never_answering(most) as (port, reached), receiving() as quick:
            task = await client.send("begin")
            for host in HOSTS:
                hook = TaskPushNotificationConfig(task_id=task.id, url=f"http://{host}:{port}/")
                await push.create_push_config(client.call, hook)
            await client.send(new_message("go", task_id=task.id, context_id=task.context_id))
            await runners.current().begin()
            async with asyncio.timeout(SECONDS):
                await reached.wait()
                hook = TaskPushNotificationConfig(url=quick.url)
                await other.send("begin", task_push_notification_config=hook)
                await quick.gets(1)
            await runners.current().close()
    under_way = await database.run(models.PushNotificationConfig.objects.exclude(worker="").count)
    assert under_way == 0


async def search(room: Room, after: int = -1, limit: int = 10) -> Claimed:
    return await database.run(
        deliveries.claim_due, "one", limit=limit, lease=LEASE, room=room, after=after
    )


async def waiting(owner: str, hosts: list[str], *, each: int, seconds: float = -60) -> None:
    """Store a task with webhooks that are due so many seconds from now, so many for each host."""
    with client_of(asker) as client:
        task = await OperationsClient(client.call.agent, owner).send("begin")
    rows = [
        models.PushNotificationConfig(
            task_id=task.id,
            config_id=f"{host}-{number}",
            url=f"http://{host}/",
            host=host,
            queue=queue_of(owner, host),
            delivered=0,
            announced=1,
            due_at=timezone.now() + timedelta(seconds=seconds),
        )
        for host in hosts
        for number in range(each)
    ]
    await database.run(models.PushNotificationConfig.objects.bulk_create, rows)


async def test_an_owner_with_its_share_under_way_is_passed_over_however_much_it_has() -> None:
    await waiting("name:greedy", HOSTS[:10], each=50)
    await waiting("name:modest", ["modest.example"], each=3, seconds=-1)
    room = Room(Shares(10))
    first = await search(room)
    owners = [delivery.scope.owner for delivery in first.deliveries]
    assert owners == ["name:greedy"] * 8 + ["name:modest"]
    assert room.is_contended and not room.is_for_owner(queue_of("name:greedy", ""))
    room.give_back(queue_of("name:modest", "modest.example"), "modest.example")
    second = await search(room, first.after)
    assert [delivery.host for delivery in second.deliveries] == ["modest.example"]


async def test_a_host_with_its_share_under_way_is_passed_over_however_much_is_for_it() -> None:
    await waiting("name:one", ["slow.example"], each=100)
    await waiting("name:one", ["quick.example"], each=1, seconds=-1)
    room = Room(Shares(50))
    hosts = [[d.host for d in (await search(room)).deliveries] for _ in range(3)]
    assert hosts == [["slow.example"] * 10, ["quick.example"], []]


async def test_what_is_to_be_tried_later_is_passed_over() -> None:
    await waiting("name:one", HOSTS[:3], each=2, seconds=60)
    await waiting("name:two", HOSTS[:1], each=1)
    room = Room(Shares(5))
    while not room.is_contended:
        room.take(queue_of("name:three", ""), "")
    found = await search(room)
    assert [delivery.scope.owner for delivery in found.deliveries] == ["name:two"]


async def test_a_search_that_has_not_seen_all_owners_goes_on_where_it_stopped() -> None:
    # What is first in the order of the index hides nothing, be it more than one search looks at.
    owners = sorted((f"name:{number}" for number in range(3)), key=queues_of)
    for owner in owners[:-1]:
        await waiting(owner, HOSTS[: LOOKS - 5], each=1, seconds=60)
    await waiting(owners[-1], ["due.example"], each=1)
    room = Room(Shares(5))
    while not room.is_contended:
        room.take(queue_of("name:greedy", ""), "")
    found = await search(room)
    searches = 1
    while not found.deliveries:
        assert found.has_more_to_see
        found = await search(room, found.after)
        searches += 1
    assert found.deliveries[0].host == "due.example"
    assert searches == 2


async def test_owners_are_served_in_turn() -> None:
    owners = sorted(("name:a", "name:b", "name:c"), key=queues_of)
    for owner in owners:
        await waiting(owner, HOSTS[:5], each=1)
    room = Room(Shares(20))
    while not room.is_contended:
        room.take(queue_of("name:greedy", ""), "")
    assert room.resize(20) > 3
    after, served = queues_of(owners[0])[1], []
    for _ in range(3):
        found = await search(room.copy(), after, limit=1)
        after = found.after
        served += [delivery.scope.owner for delivery in found.deliveries]
    assert served == [owners[1], owners[2], owners[0]]
