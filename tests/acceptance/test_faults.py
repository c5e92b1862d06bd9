"""What a crash leaves behind, and what clients see of it, with real processes (R4, R6, R7)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeAlias

import httpx
import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process
from tests.wire import chunk_numbers, load_message, state, text

pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgresql"])

SECONDS = 40
Event: TypeAlias = tuple[int, dict[str, Any]]
FAST = {"LEASE_SECONDS": 1.5, "SWEEP_SECONDS": 0.3}


async def broken_off(served: Process, agent: str, **load: Any) -> tuple[str, list[int]]:
    """Begin a task and kill its server in the middle of it; return its id and what was seen."""
    task_id, seen = "", []
    async with SocketClient(served.url, agent) as client:
        with pytest.raises(httpx.TransportError):
            async with client.open("SendStreamingMessage", message=load_message(**load)) as events:
                async for number, item in events:
                    seen.append(number)
                    task_id = item.get("task", {}).get("id", task_id)
                    if text(item).startswith("5 "):
                        served.kill()
    return task_id, seen


async def resumed(served: Process, agent: str, task_id: str, after: int) -> list[tuple[int, Any]]:
    async with asyncio.timeout(SECONDS), SocketClient(served.url, agent) as client:
        opened = client.open("SubscribeToTask", id=task_id, last_event_id=str(after))
        async with opened as events:
            return [event async for event in events]


async def test_a_task_whose_server_was_killed_fails_with_a_reason_and_without_anyone_asking(
    serve: Serve, database: str
) -> None:
    served = serve(database, **FAST)
    task_id, seen = await broken_off(served, "load", chunks=100, delay=0.02)
    served.start()
    events = await resumed(served, "load", task_id, seen[-1])
    assert state(events[-1][1]) == "FAILED"
    assert "gone" in str(events[-1][1])
    assert seen + [number for number, _ in events] == list(range(seen[0], events[-1][0] + 1))


async def test_a_task_that_may_be_tried_again_completes_after_its_server_was_killed(
    serve: Serve, database: str
) -> None:
    served = serve(database, **FAST)
    task_id, seen = await broken_off(served, "load-retry", chunks=100, delay=0.02)
    served.start()
    events = await resumed(served, "load-retry", task_id, seen[-1])
    assert state(events[-1][1]) == "COMPLETED"
    assert seen + [number for number, _ in events] == list(range(seen[0], events[-1][0] + 1))
    async with SocketClient(served.url, "load-retry") as client:
        task = await client.result("GetTask", id=task_id)
    [artifact] = task["artifacts"]
    assert chunk_numbers(artifact) == list(range(100))


async def test_recovery_begins_with_the_server_and_not_with_the_first_request(
    serve: Serve, database: str
) -> None:
    served = serve(database, **FAST)
    await broken_off(served, "load", chunks=100, delay=0.02)
    served.start()
    await served.says("is lost, and task")


async def test_a_task_that_was_accepted_and_not_begun_runs_after_a_restart(
    serve: Serve, database: str
) -> None:
    served = serve(database, MAX_RUNS=1, **FAST)
    async with SocketClient(served.url) as client:
        await client.send(load_message(end="hang"), returnImmediately=True)
        waiting = await client.send(load_message(chunks=3), returnImmediately=True)
        assert waiting["status"]["state"] == "TASK_STATE_SUBMITTED"
    served.kill()
    served.start()
    events = await resumed(served, "load", waiting["id"], 1)
    assert state(events[-1][1]) == "COMPLETED"
    assert [text(item)[:1] for _, item in events if text(item)] == ["0", "1", "2"]


@pytest.mark.parametrize("settings_module", ["tests.settings", "tests.silent_layer"])
async def test_two_streams_and_a_late_one_see_the_same_and_one_that_comes_back_sees_each_once(
    serve: Serve, database: str, settings_module: str
) -> None:
    served = serve(database, settings_module=settings_module, POLL_SECONDS=0.1)
    async with SocketClient(served.url) as client, asyncio.timeout(SECONDS):
        # It does not end before all streams have begun.
        message = load_message(chunks=120, delay=0.01, end="hang")
        task = await client.send(message, returnImmediately=True)
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(whole(client, task["id"], begun)) for _ in range(2)]
        seen: list[Event] = []
        async with aclosing(in_parts(client, task["id"])) as parts:
            async for event in parts:
                seen.append(event)
                if len(seen) == 30:
                    streams.append(asyncio.create_task(whole(client, task["id"], begun)))
                if text(event[1]).startswith("119 "):
                    for _ in streams:
                        await begun.acquire()
                    await client.result("CancelTask", id=task["id"])
        numbers = [number for number, _ in seen]
        assert numbers == list(range(2, numbers[-1] + 1))
        for stream in await asyncio.gather(*streams):
            assert "task" in stream[0][1]
            assert stream[1:] == seen[stream[0][0] - 1 :]


async def whole(client: SocketClient, task_id: str, begun: asyncio.Semaphore) -> list[Event]:
    """Return all of a stream, and say when it has begun."""
    async with client.open("SubscribeToTask", id=task_id) as events:
        first = await anext(events)
        begun.release()
        return [first, *[event async for event in events]]


async def in_parts(client: SocketClient, task_id: str) -> AsyncGenerator[Event, None]:
    """Follow a task from its second event on until it is canceled, by a stream for 30 events."""
    number, item = 1, dict[str, Any]()
    while state(item) != "CANCELED":
        opened = client.open("SubscribeToTask", id=task_id, last_event_id=str(number))
        async with opened as events:
            for _ in range(30):
                if state(item) != "CANCELED":
                    number, item = await anext(events)
                    yield number, item


async def test_a_stream_that_comes_back_is_answered_before_there_is_an_event(
    serve: Serve, database: str
) -> None:
    served = serve(database, KEEPALIVE_SECONDS=600)
    async with SocketClient(served.url) as client, asyncio.timeout(SECONDS):
        async with client.open(
            "SendStreamingMessage", message=load_message(chunks=0, end="hang")
        ) as events:
            number, item = await anext(events)
            task_id = item["task"]["id"]
            while state(item) != "WORKING":
                number, item = await anext(events)
        opened = client.open("SubscribeToTask", id=task_id, last_event_id=str(number))
        async with opened as events:
            await client.result("CancelTask", id=task_id)
            assert [state(item) async for _, item in events] == ["CANCELED"]


async def test_a_slow_reader_delays_nobody(serve: Serve, database: str) -> None:
    served = serve(database, STREAM_BUFFER=16)
    async with SocketClient(served.url) as client, asyncio.timeout(SECONDS):
        task = await client.send(
            load_message(chunks=600, size=4000, delay=0.001), returnImmediately=True
        )
        # From the first event on, since a busy machine may have ended the task by now.
        whole: dict[str, Any] = {"id": task["id"], "last_event_id": "1"}
        async with client.open("SubscribeToTask", **whole) as slow:
            first = await anext(slow)
            # All of it passes while the slow one reads nothing.
            quick = await client.stream("SubscribeToTask", **whole)
            assert state(quick[-1][1]) == "COMPLETED"
            rest = [number async for number, _ in slow]
        assert rest == list(range(first[0] + 1, quick[-1][0] + 1))
