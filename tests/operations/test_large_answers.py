"""Large answers: each has room in memory from its read until it is sent, in turn by owner (R16)."""

import asyncio
import json
from contextlib import aclosing

import pytest

from a2a_app.agents import Turn
from a2a_app.concurrency.budget import PLACE_BYTES
from a2a_app.operations.messages import send_streaming_message
from a2a_app.operations.streams import Stream, StreamItem
from a2a_app.operations.tasks import list_tasks, subscribe_to_task
from a2a_app.protocol import (
    ListTasksRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskNotFoundError,
)
from tests.clients.http_json import HttpJsonClient, json_of
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.tasks import new_message
from tests.wire import message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
TEXT = "x" * (3 * PLACE_BYTES)


@pytest.fixture(autouse=True)
def small_limits(a2a: ChangeSettings) -> None:
    # One owner has room for one of these answers.
    a2a(
        STREAM_BYTES=PLACE_BYTES,
        ANSWER_BYTES=8 * PLACE_BYTES,
        PAGE_BYTES=4 * PLACE_BYTES,
        KEEPALIVE_SECONDS=0.05,
    )


async def asks(turn: Turn) -> None:
    await turn.input_required("And?")


async def hold(client: OperationsClient, task_id: str) -> tuple[OperationsClient, Task]:
    """Get a task and do not send it: return its reader, who has the room, and the task."""
    reader = OperationsClient(client.call.agent)
    task = await reader.get(task_id)
    assert [room.is_granted for room in reader.call.held] == [True]
    return reader, task


async def next_items(stream: Stream) -> list[StreamItem]:
    """Return the next items, past the signs of life before them."""
    while not (items := await anext(stream)):
        pass
    return items


async def test_a_large_answer_waits_until_the_one_before_is_sent_and_a_small_one_does_not() -> None:
    with client_of(asks) as client:
        large, small = await client.send(TEXT), await client.send()
        client.call.held.pop().release()
        holder, task = await hold(client, large.id)
        assert task.history[0].text == TEXT
        waiter = OperationsClient(client.call.agent)
        waiting = asyncio.create_task(waiter.get(large.id))
        async with asyncio.timeout(SECONDS):
            while not waiter.call.held:  # or the page might stand before it in the line
                assert (await client.get(small.id)).id == small.id
        paging = asyncio.create_task(list_tasks(client.call, ListTasksRequest()))
        assert (await list_tasks(client.call, ListTasksRequest(page_size=1))).tasks[
            0
        ].id == small.id
        with pytest.raises(TaskNotFoundError):
            await OperationsClient(client.call.agent, "another").get(large.id)
        assert not waiting.done() and not paging.done()
        holder.call.held.pop().release()
        async with asyncio.timeout(SECONDS):
            assert (await waiting).history[0].text == TEXT
            waiter.call.held.pop().release()
            assert [each.id for each in (await paging).tasks] == [small.id, large.id]


async def test_every_binding_gives_the_room_back_with_its_response(rpc: JsonRpcClient) -> None:
    task = await rpc.send(message(TEXT))
    plain = HttpJsonClient()
    async with asyncio.timeout(SECONDS):
        for _ in range(3):
            # Each takes all that its owner may have.
            assert await rpc.result("GetTask", id=task["id"])
            assert await rpc.result("ListTasks")
            assert json_of(await plain.get(f"/tasks/{task['id']}"))
            assert json_of(await plain.get("/tasks"))


async def test_a_client_that_leaves_while_it_waits_leaves_the_line() -> None:
    with client_of(asks) as client:
        task, small = await client.send(TEXT), await client.send()
        client.call.held.pop().release()
        holder, _ = await hold(client, task.id)
        leaving = OperationsClient(client.call.agent)
        gone = asyncio.create_task(leaving.get(task.id))
        async with asyncio.timeout(SECONDS):
            while not leaving.call.held:
                assert (await client.get(small.id)).id == small.id
            gone.cancel()
            await asyncio.wait([gone])
            leaving.call.held.pop().release()
            waiting = asyncio.create_task(hold(client, task.id))
            holder.call.held.pop().release()
            assert (await waiting)[1].id == task.id


@pytest.mark.slow
async def test_a_stream_of_a_large_task_begins_once_there_is_room_and_at_its_first_event() -> None:
    with client_of(asks) as client:
        params = SendMessageRequest(message=new_message(TEXT))
        async with (
            asyncio.timeout(SECONDS),
            aclosing(await send_streaming_message(client.call, params)) as sent,
        ):
            [first] = await anext(sent)
            task = json.loads(first.body)["task"]
            assert (first.seq, task["status"]["state"]) == (1, "TASK_STATE_SUBMITTED")
            assert task["history"][0]["parts"][0]["text"] == TEXT
            subscription = SubscribeToTaskRequest(id=task["id"])
            async with aclosing(await subscribe_to_task(client.call, subscription)) as late:
                # Open, and without a task for as long as the first one keeps its room.
                assert [await anext(late), await anext(late)] == [[], []]
                events = await next_items(sent)
                [snapshot] = await next_items(late)
            assert json.loads(snapshot.body)["task"]["id"] == task["id"]
            events += [item async for items in sent for item in items]
        assert [item.seq for item in events] == list(range(2, 2 + len(events)))
