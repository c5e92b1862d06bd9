"""Workers: turns that a server accepts and another process works on, by each kind of queue."""

import asyncio
from typing import Any

import psycopg
import pytest
from django_tasks_db.models import DBTaskResult

from a2a_app import conf
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster, Queue
from tests.servers import Layer
from tests.wire import load_message, message, state, text

SECONDS = 60
# So long that early events have come by the queue and the layer, and not by a poll or a sweep.
LONG = {"POLL_SECONDS": 600, "SWEEP_SECONDS": 600, "LEASE_SECONDS": 600}
QUEUES: list[Queue] = ["procrastinate", "tasks"]


@pytest.mark.parametrize("queue", QUEUES)
async def test_a_worker_answers_what_a_server_accepts_and_is_known_until_it_ends(
    database_url: str, queue: Queue
) -> None:
    with cluster(database_url, queue, **LONG, PUT_AWAY_SECONDS=0) as site:
        one, other, worker = site.server(), site.server(), site.worker()
        async with (
            asyncio.timeout(SECONDS),
            SocketClient(one.url) as here,
            SocketClient(other.url) as there,
        ):
            task = await here.send(load_message(chunks=20), returnImmediately=True)
            seen = await there.stream("SubscribeToTask", id=task["id"], last_event_id="1")
            assert [number for number, _ in seen] == list(range(2, 24))
            assert [int(text(item).split()[0]) for _, item in seen[1:-1]] == list(range(20))
            assert state(seen[-1][1]) == "COMPLETED"
            asked = await here.send(load_message(end="input-required"))
            assert asked["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
            answer = {**load_message(chunks=1), "taskId": asked["id"]}
            assert (await there.send(answer))["status"]["state"] == "TASK_STATE_COMPLETED"
            async with SocketClient(one.url, "sleepy") as sleepy:
                # It is not the sweep that finds when it is over.
                [said] = (await sleepy.send("0.2"))["artifacts"]
            assert said["parts"] == [{"text": "attempt 2"}]
            minutes = await talked(one.url, other.url)
            assert text(minutes) == "- First\n- Second\n"
            while not (known := await known_workers(database_url)):  # noqa: ASYNC110  # in a table
                await asyncio.sleep(0.05)
            # That of Django's framework does one task after the other.
            slots = 1 if queue == "tasks" else conf.current().max_runs
            assert known == [(queue, slots)], "servers take no turns"
            await asyncio.to_thread(worker.stop)
            assert await known_workers(database_url) == []


@pytest.mark.parametrize("queue", QUEUES)
async def test_cancelling_stops_the_agent_on_a_worker_at_once(
    database_url: str, queue: Queue
) -> None:
    with cluster(database_url, queue, **LONG) as site:
        server, worker = site.server(), site.worker()
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            task_id = await working(client, end="hang")
            await client.result("CancelTask", id=task_id)
            await worker.says("is stopped")


@pytest.mark.parametrize("agent", ["load", "stubborn"])
async def test_without_a_channel_layer_the_heartbeat_stops_what_was_canceled(
    database_url: str, agent: str
) -> None:
    quick: dict[str, Any] = {"POLL_SECONDS": 0.1, "LEASE_SECONDS": 3}
    with Cluster(database_url=database_url, layer="silent", **quick) as site:
        server, worker = site.server(), site.worker()
        async with asyncio.timeout(SECONDS), SocketClient(server.url, agent) as client:
            task_id = await working(client, end="hang")
            await client.result("CancelTask", id=task_id)
            await worker.says("is stopped")
            if agent == "stubborn":
                await worker.says("stubborn: the next write was refused")


@pytest.mark.parametrize("queue", QUEUES)
async def test_a_worker_that_is_asked_to_end_finishes_what_it_can(
    database_url: str, queue: Queue
) -> None:
    with cluster(database_url, queue, **LONG, SHUTDOWN_SECONDS=20) as site:
        server, worker = site.server(), site.worker()
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            task_id = await working(client, chunks=20, delay=0.05)
            await asyncio.to_thread(worker.stop)
            task = await client.result("GetTask", id=task_id)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("queue", QUEUES)
async def test_a_turn_that_a_worker_gives_up_is_begun_again_by_another_at_once(
    database_url: str, queue: Queue
) -> None:
    quick = {**LONG, "SWEEP_SECONDS": 0.2, "SHUTDOWN_SECONDS": 0.1}
    with cluster(database_url, queue, **quick) as site:
        server, worker = site.server(), site.worker()
        async with asyncio.timeout(SECONDS), SocketClient(server.url, "load-retry") as client:
            task_id = await working(client, chunks=20, delay=0.1)
            await asyncio.to_thread(worker.stop)
            assert "given up for another process" in worker.output()
            site.worker()
            events = await client.stream("SubscribeToTask", id=task_id, last_event_id="1")
    assert state(events[-1][1]) == "COMPLETED"


@pytest.mark.parametrize(("agent", "end"), [("load-retry", "COMPLETED"), ("load", "FAILED")])
@pytest.mark.parametrize("queue", QUEUES)
async def test_when_a_worker_dies_the_next_begins_its_turns_again_or_fails_them(
    database_url: str, queue: Queue, agent: str, end: str
) -> None:
    with cluster(database_url, queue, LEASE_SECONDS=1.5, SWEEP_SECONDS=0.3) as site:
        server, worker = site.server(), site.worker()
        async with asyncio.timeout(SECONDS), SocketClient(server.url, agent) as client:
            task_id = await working(client, chunks=20, delay=0.1)
            worker.kill()
            site.worker()
            events = await client.stream("SubscribeToTask", id=task_id, last_event_id="1")
    numbers = [number for number, _ in events]
    assert numbers == list(range(2, numbers[-1] + 1))
    assert state(events[-1][1]) == end


@pytest.mark.parametrize("queue", QUEUES)
async def test_a_turn_whose_place_in_the_queue_was_lost_is_answered_all_the_same(
    database_url: str, queue: Queue
) -> None:
    with cluster(database_url, queue, LEASE_SECONDS=1.5, SWEEP_SECONDS=0.3) as site:
        server = site.server()
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            task = await client.send(load_message(chunks=1), returnImmediately=True)
            await empty(database_url)
            site.worker()
            events = await client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
    assert state(events[-1][1]) == "COMPLETED"


def cluster(database_url: str, queue: Queue, **a2a: Any) -> Cluster:
    # Each queue with another layer: neither knows anything of the other.
    layer: Layer = "redis" if queue == "procrastinate" else "postgresql"
    return Cluster(database_url=database_url, layer=layer, queue=queue, **a2a)


async def working(client: SocketClient, **load: object) -> str:
    """Begin a task and return once its agent works on it."""
    task = await client.send(load_message(**load), returnImmediately=True)
    async with client.open("SubscribeToTask", id=task["id"], last_event_id="1") as events:
        assert state((await anext(events))[1]) == "WORKING"
    return str(task["id"])


async def talked(here: str, there: str) -> dict[str, Any]:
    """Say something to one server, and more to another while a worker listens; return the end."""
    async with SocketClient(here, "minutes") as one, SocketClient(there, "minutes") as other:
        task = await one.send("First", returnImmediately=True)
        async with one.open("SubscribeToTask", id=task["id"], last_event_id="1") as events:
            assert state((await anext(events))[1]) == "WORKING"
            more = {**message("Second"), "taskId": task["id"]}
            await other.send(more, returnImmediately=True)
            await other.send({**message("done"), "taskId": task["id"]}, returnImmediately=True)
            seen = [item async for _, item in events]
        assert state(seen[-1]) == "COMPLETED"
        return next(each for each in seen if "artifactUpdate" in each)


async def known_workers(database_url: str) -> list[tuple[str, int]]:
    """Return the runner and the slots of each worker that has given a sign and not ended."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute("SELECT runner, slots FROM a2a_app_worker")
        return await rows.fetchall()


async def empty(database_url: str) -> None:
    """Throw away all that the queues have."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        # Procrastinate's model can be imported only where the tests' own database is PostgreSQL.
        for table in ("procrastinate_jobs", DBTaskResult._meta.db_table):
            await connection.execute(f"TRUNCATE {table} CASCADE")
