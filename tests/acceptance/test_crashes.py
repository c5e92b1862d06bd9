"""Servers and workers that die at any moment lose nothing and double nothing (R3, R4, R6, R7)."""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.acceptance.records import Record, message_tasks, records
from tests.clients.cluster import ClusterClient, Seen
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster
from tests.servers import Layer, Process
from tests.wire import load_message, state, text

SECONDS = 100

QUICK: dict[str, Any] = {"LEASE_SECONDS": 1.5, "SWEEP_SECONDS": 0.3}
LAYERS: list[Layer] = ["redis", "postgresql"]

TASKS = 60
AT_ONCE = 40
KILLS = 2
STEPS = json.dumps({"steps": 8, "delay": 0.15})
AGENTS = ["steps-for-ever", "steps-for-ever", "steps-thrice", "steps"]


@pytest.mark.parametrize("layer", LAYERS)
async def test_every_worker_gets_turns_and_every_server_streams_them_to_all(
    database_url: str, layer: Layer
) -> None:
    long: dict[str, Any] = {
        "POLL_SECONDS": 600,
        "SWEEP_SECONDS": 600,
        "LEASE_SECONDS": 600,
        "MAX_RUNS": 4,
    }
    with Cluster(database_url=database_url, layer=layer, **long) as site:
        servers, workers = site.start(servers=2, workers=2)
        async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
            here, there = [
                await stack.enter_async_context(SocketClient(server.url)) for server in servers
            ]
            task = await here.send(load_message(chunks=150, delay=0.01), returnImmediately=True)
            subscribe = [
                client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
                for client in (here, there) * 10
            ]
            others = [
                sender.send(load_message(chunks=10, delay=0.02), returnImmediately=True)
                for sender in (here, there) * 10
            ]
            begun = await asyncio.gather(*others)
            sent = [
                reader.stream("SubscribeToTask", id=other["id"], last_event_id="1")
                for reader, other in zip((there, here) * 10, begun, strict=True)
            ]
            streams = await asyncio.gather(*subscribe, *sent)
    for seen in streams:
        assert [number for number, _ in seen] == list(range(seen[0][0], seen[-1][0] + 1))
        assert state(seen[-1][1]) == "COMPLETED"
    assert {seen[-1][0] for seen in streams[:20]} == {153}
    assert all(text(seen[-2][1]).startswith("149 ") for seen in streams[:20])
    worked = Counter(
        run.worker.split("-")[-2]
        for record in records(database_url).values()
        for run in record.runs
    )
    assert worked.keys() == {str(worker.pid) for worker in workers}


@pytest.mark.parametrize("layer", LAYERS)
async def test_tasks_end_once_and_streams_are_whole_while_processes_are_killed(
    database_url: str, layer: Layer
) -> None:
    chance = random.Random(20260101)
    site = Cluster(database_url=database_url, layer=layer, **QUICK)
    with site:
        servers, workers = site.start(servers=2, workers=2)
        async with asyncio.timeout(SECONDS), _clients(servers) as clients:
            killing = asyncio.gather(
                *[_kill_one_after_the_other(some, clients, chance) for some in (servers, workers)]
            )
            streams = await _send_and_follow(clients, killing, chance)
            await killing
            # A send whose answer was lost may have made a task: that one has to end too.
            found = records(database_url)
            unanswered = [task_id for task_id in found if task_id not in streams]
            late = [clients[found[task_id].agent].follow(task_id) for task_id in unanswered]
            streams |= dict(zip(unanswered, await asyncio.gather(*late), strict=True))
    _check_messages(clients, message_tasks(database_url))
    for task_id, record in records(database_url).items():
        _check(record, streams[task_id])


@asynccontextmanager
async def _clients(servers: list[Process]) -> AsyncIterator[dict[str, ClusterClient]]:
    """Yield a client of each agent."""
    urls = [server.url for server in servers]
    async with AsyncExitStack() as stack:
        yield {
            agent: await stack.enter_async_context(ClusterClient(urls, agent))
            for agent in sorted(set(AGENTS))
        }


async def _kill_one_after_the_other(
    processes: list[Process], clients: dict[str, ClusterClient], chance: random.Random
) -> None:
    """Kill a process, start it again and tell the clients; KILLS times, at any moment."""
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.2, 2))
        victim = chance.choice(processes)
        victim.kill()
        await asyncio.to_thread(victim.start)
        for client in clients.values():
            client.recovered()


async def _send_and_follow(
    clients: dict[str, ClusterClient], killing: asyncio.Future[Any], chance: random.Random
) -> dict[str, Seen]:
    """Send and stream tasks, AT_ONCE at a time: at least TASKS, and for as long as one kills."""
    streams: dict[str, Seen] = {}
    begun = itertools.count(1)

    async def one_after_the_other() -> None:
        while next(begun) <= TASKS or not killing.done():
            client = clients[chance.choice(AGENTS)]
            task_id = await client.send(STEPS)
            streams[task_id] = await client.follow(task_id)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_the_other())
    return streams


def _check_messages(clients: dict[str, ClusterClient], stored: dict[str, str]) -> None:
    """See that each message that was answered made its task, and the others at most one."""
    sent = {key: task_id for client in clients.values() for key, task_id in client.sent.items()}
    assert stored.keys() <= sent.keys()
    answered = {key: task_id for key, task_id in sent.items() if task_id}
    assert answered.items() <= stored.items()
    assert len(set(stored.values())) == len(stored)


def _check(record: Record, seen: Seen) -> None:
    record.check()
    record.check_steps()
    assert len(seen) == len(record.log) - 1
    allowed = {"steps": 1, "steps-thrice": 3, "steps-for-ever": 10}[record.agent]
    lost = sum(run.outcome == "lost" for run in record.runs)
    assert len(record.runs) <= allowed
    assert record.state == ("FAILED" if lost == allowed else "COMPLETED"), record
