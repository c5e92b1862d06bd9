"""`make cluster`: all of a site on one machine, which outlives the death of its parts."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import psutil
import pytest
from google.protobuf.json_format import MessageToDict
from websockets.asyncio.client import connect

from tests.clients.frames import frames_of
from tests.clients.sdk import chunks, connected
from tests.clients.sdk import state as state_of
from tests.clients.sockets import SocketClient
from tests.servers import Process
from tests.wire import envelope, load_message, state, text

SECONDS = 60
# With the one over JSON-RPC, fifty streams of one task.
EACH, OVER_SOCKET = 10, 29


# One for all: the test that ends it is the last.
@pytest.fixture(scope="module")
def cluster() -> Iterator[Process]:
    settings = {
        "LEASE_SECONDS": 3, "SWEEP_SECONDS": 0.5, "SHUTDOWN_SECONDS": 0.5, "WEBSOCKET": True,
    }  # fmt: skip  # as one list
    env = {"A2A_SETTINGS": json.dumps(settings), "DJANGO_SETTINGS_MODULE": "project.settings"}
    process = Process([sys.executable, "manage.py", "cluster"], env, ready="The end ")
    process.start()
    yield process
    process.stop()
    sys.stdout.write(process.output())


def urls(cluster: Process) -> list[str]:
    return re.findall(r"A server +(\S+)", cluster.output())


def members(cluster: Process, command: str = "") -> list[psutil.Process]:
    """Find the processes of the cluster, without PostgreSQL, which is not their child."""
    children = psutil.Process(cluster.pid).children(recursive=True)
    return [child for child in children if command in " ".join(child.cmdline())]


def runs(process: psutil.Process) -> bool:
    try:
        # PostgreSQL becomes a child of the machine's first process, which may be slow to reap it.
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_worker_does_the_turn_of_one_server_and_the_other_server_streams_it(
    cluster: Process,
) -> None:
    one, other = urls(cluster)
    async with asyncio.timeout(SECONDS), SocketClient(one) as here, SocketClient(other) as there:
        task = await here.send(load_message(chunks=20), returnImmediately=True)
        seen = await there.stream("SubscribeToTask", id=task["id"], last_event_id="1")
    assert [int(text(item).split()[0]) for _, item in seen[1:-1]] == list(range(20))
    assert state(seen[-1][1]) == "COMPLETED"


async def test_what_is_sent_over_http_is_followed_over_grpc_from_the_url_of_the_card(
    cluster: Process,
) -> None:
    here, url = SocketClient(urls(cluster)[0]), urls(cluster)[1]
    async with asyncio.timeout(SECONDS), here, connected(url, "GRPC") as there:
        task = await here.send(load_message(chunks=20, delay=0.05), returnImmediately=True)
        seen = [item async for item in there.subscribe(task["id"])]
    assert chunks(seen) == list(range(20))
    assert state_of(seen[-1]) == "COMPLETED"


async def test_workers_that_are_killed_are_started_again_and_every_binding_shows_the_same(
    cluster: Process,
) -> None:
    here, there = urls(cluster)
    async with (
        asyncio.timeout(SECONDS),
        SocketClient(here, "load-retry") as client,
        connected(there, "HTTP+JSON", "load-retry") as by_rest,
        connected(there, "GRPC", "load-retry") as by_grpc,
        connect(f"ws{there.removeprefix('http')}/a2a/load-retry/") as by_socket,
    ):
        task = await client.send(load_message(chunks=20, delay=0.1), returnImmediately=True)
        others = [each.subscribe(task["id"]) for each in (by_rest, by_grpc) for _ in range(EACH)]
        begun = await asyncio.gather(*(anext(other) for other in others))
        assert [item.task.id for item in begun] == [task["id"]] * len(others)
        for number in range(OVER_SOCKET):
            asked = {**envelope("SubscribeToTask", {"id": task["id"]}), "id": number}
            await by_socket.send(json.dumps(asked))
        async with client.open("SubscribeToTask", id=task["id"], last_event_id="1") as events:
            first = (await anext(events))[1]
            assert state(first) == "WORKING"
            for worker in members(cluster, "a2a_worker"):
                worker.kill()
            for number in (1, 2):
                await cluster.says(f"worker-{number} | has ended with status -9")
            whole = [first, *[item async for _, item in events]]
        assert state(whole[-1]) == "COMPLETED"
        for other in others:
            seen = [MessageToDict(item) async for item in other]
            assert seen and seen == whole[-len(seen) :]
        for frames in (await frames_of(by_socket, OVER_SOCKET)).values():
            first, *seen = [frame["result"] for frame in frames[:-1]]
            assert first["task"]["id"] == task["id"]
            assert seen and seen == whole[-len(seen) :]


async def test_nothing_is_left_of_a_cluster_that_is_asked_to_end(cluster: Process) -> None:
    [data] = re.findall(r"DATABASE_URL=postgresql://postgres@([^/]+)/", cluster.output())
    folder = Path(unquote(data))
    postgresql = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    everything = [postgresql, *postgresql.children(recursive=True), *members(cluster)]
    async with asyncio.timeout(SECONDS), SocketClient(urls(cluster)[0]) as client:
        await client.send(load_message(end="hang"), returnImmediately=True)
        await asyncio.to_thread(cluster.stop)
    assert [process for process in everything if runs(process)] == []
    assert not folder.parent.exists()
