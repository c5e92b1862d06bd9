"""Workers of Celery, with its two pools: what they answer, and what becomes of their turns."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.acceptance.records import records
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster
from tests.servers import Process, fresh_database
from tests.wire import load_message, state, text

SECONDS = 90
# A loaded machine renews leases late, and only what dies may lose one here.
QUICK: dict[str, Any] = {
    "LEASE_SECONDS": 8,
    "SWEEP_SECONDS": 0.3,
    "SHUTDOWN_SECONDS": 0.1,
    "PUT_AWAY_SECONDS": 0,
}
THREADS = ("--pool", "threads", "--concurrency", "4")
PREFORK = ("--pool", "prefork", "--concurrency", "2")
SOLO = ("--pool", "solo")
# Longer than a test may take.
LONG = json.dumps({"steps": 10_000, "delay": 0.1})


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    with fresh_database("postgresql") as url:
        yield url


@pytest.fixture(scope="module")
def site(database_url: str) -> Iterator[Cluster]:
    with Cluster(database_url=database_url, queue="celery", **QUICK) as site:
        yield site


@pytest.fixture(scope="module")
def server(site: Cluster) -> Process:
    return site.server()


@pytest.fixture
def start_worker(site: Cluster) -> Iterator[Callable[..., Process]]:
    """Start workers that end with their test, so that the next one's get its turns."""
    started: list[Process] = []

    def start(*options: str) -> Process:
        started.append(site.worker(*options))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


async def test_a_worker_answers_stops_what_is_canceled_and_is_replaced_when_it_dies(
    start_worker: Callable[..., Process], server: Process, database_url: str
) -> None:
    worker = start_worker(*PREFORK)
    async with (
        asyncio.timeout(SECONDS),
        SocketClient(server.url) as load,
        SocketClient(server.url, "steps-for-ever") as steps,
        SocketClient(server.url, "sleepy") as sleepy,
    ):
        task = await load.send(load_message(chunks=3))
        assert state({"task": task}) == "COMPLETED"
        [said] = (await sleepy.send("0.2"))["artifacts"]
        assert said["parts"] == [{"text": "attempt 2"}]
        hanging = await load.send(load_message(end="hang"), returnImmediately=True)
        async with load.open("SubscribeToTask", id=hanging["id"], last_event_id="1") as events:
            assert state((await anext(events))[1]) == "WORKING"
        await load.result("CancelTask", id=hanging["id"])
        await worker.says("is stopped")
        told = json.dumps({"steps": 30, "delay": 0.1})
        task = await steps.send(told, returnImmediately=True)
        async with steps.open("SubscribeToTask", id=task["id"], last_event_id="1") as events:
            async for _, item in events:
                if text(item) == "1 1":
                    worker.kill()
                    start_worker(*THREADS)
                seen = item
    assert state(seen) == "COMPLETED"
    record = records(database_url)[task["id"]]
    record.check()
    record.check_steps()
    assert [run.outcome for run in record.runs] == ["lost", "completed"]


@pytest.mark.parametrize("pool", [THREADS, PREFORK], ids=["threads", "prefork"])
async def test_a_worker_that_is_asked_to_end_gives_up_its_turns_and_ends(
    start_worker: Callable[..., Process], server: Process, database_url: str, pool: tuple[str, ...]
) -> None:
    worker = start_worker(*pool)
    async with asyncio.timeout(SECONDS), SocketClient(server.url, "steps-for-ever") as steps:
        task = await steps.send(LONG, returnImmediately=True)
        async with steps.open("SubscribeToTask", id=task["id"], last_event_id="1") as events:
            async for _, item in events:
                if text(item) == "1 1":
                    break
            os.kill(worker.pid, signal.SIGTERM)
            assert await worker.ends() == 0
            assert "given up for another process" in worker.output()
        await steps.result("CancelTask", id=task["id"])
    [run, *_] = records(database_url)[task["id"]].runs
    assert run.outcome in ("", "lost")


@pytest.mark.parametrize(
    ("pool", "slots"),
    [(THREADS, [4]), (SOLO, [1]), (PREFORK, [1, 1])],
    ids=["threads", "solo", "prefork"],
)
async def test_the_processes_of_a_worker_are_known_from_its_start_until_its_end(
    start_worker: Callable[..., Process], database_url: str, pool: tuple[str, ...], slots: list[int]
) -> None:
    async def known() -> dict[str, int]:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            found = await connection.execute("SELECT name, slots FROM a2a_app_worker")
            return dict(await found.fetchall())

    async with asyncio.timeout(SECONDS):
        # Turns do not come to it, so nobody counts on it.
        start_worker(*pool, "--queues", "other")
        before = await known()
        worker = start_worker(*pool)
        while len(names := (found := await known()).keys() - before) < len(slots):
            pass
        assert [found[name] for name in names] == slots
        assert {f"-{worker.pid}-" in name for name in names} == {pool is not PREFORK}
        os.kill(worker.pid, signal.SIGTERM)
        assert await worker.ends() == 0
        assert not names & (await known()).keys()
