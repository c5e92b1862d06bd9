"""Streams of 0.3: each ends with an event that is final, also where nothing is left to come."""

import asyncio
from typing import Any

import pytest

from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from tests.clients.http_json import without_version
from tests.clients.json_rpc import JsonRpcClient, events_of
from tests.wire import envelope, state
from tests.wire_v03 import message

WAITING = ["input-required", "auth-required"]


async def resubscribed(rpc: JsonRpcClient, task_id: str, **options: str) -> list[dict[str, Any]]:
    request = envelope("tasks/resubscribe", {"id": task_id})
    return [event["result"] for event in await events_of(await rpc.post(request, **options))]


@pytest.mark.parametrize("end", WAITING)
async def test_a_subscription_to_a_task_that_waits_for_its_client_is_final_at_once(
    rpc: JsonRpcClient, end: str
) -> None:
    task = await rpc.task(end=end)
    first, last = await resubscribed(rpc, task["id"])
    assert (first["kind"], first["id"]) == ("task", task["id"])
    assert (last["kind"], last["final"]) == ("status-update", True)
    assert (last["taskId"], last["contextId"]) == (task["id"], task["contextId"])
    assert last["status"] == first["status"]
    assert last["status"]["state"] == end


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_over_http_json_it_is_final_at_once_too(rpc: JsonRpcClient, verb: str) -> None:
    task = await rpc.task(end="input-required")
    path = f"/v1/tasks/{task['id']}:subscribe"
    first, last = await events_of(await without_version().ask(verb, path))
    assert first["task"]["id"] == task["id"]
    assert last["statusUpdate"]["final"] is True


async def test_one_that_has_seen_all_events_is_final_at_once(rpc: JsonRpcClient) -> None:
    said = message('{"end": "input-required", "chunks": 2}')
    streamed = await events_of(await rpc.post(envelope("message/stream", {"message": said})))
    task_id = streamed[-1]["result"]["taskId"]
    [*_, newest] = await numbers(rpc, task_id)
    events = await resubscribed(rpc, task_id, Last_Event_ID=str(newest))
    assert [event["kind"] for event in events] == ["task", "status-update"]
    assert events[-1]["final"] is True
    missed = await resubscribed(rpc, task_id, Last_Event_ID=str(newest - 2))
    assert [event["kind"] for event in missed] == ["artifact-update", "status-update"]
    assert missed[-1]["final"] is True


async def numbers(rpc: JsonRpcClient, task_id: str) -> list[int]:
    """Return the numbers of all events of a task that waits for its client."""
    request = envelope("tasks/resubscribe", {"id": task_id})
    response: Any = await rpc.post(request, Last_Event_ID="0")
    text = b"".join([chunk async for chunk in response]).decode()
    return [int(line[3:]) for line in text.splitlines() if line.startswith("id:")]


class Asks:
    """An agent that asks for something, and goes on until it is let go."""

    def __init__(self) -> None:
        self.may_return = asyncio.Event()

    async def run(self, turn: Turn) -> None:
        """Ask, and wait."""
        await turn.auth_required("Who are you?")
        await self.may_return.wait()


async def test_a_subscription_is_open_for_as_long_as_the_agent_goes_on(rpc: JsonRpcClient) -> None:
    asks = Asks()
    with registry.registered(make_agent(asks.run, slug="asks")):
        sent = await rpc.send(
            {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "a"}]}, agent="asks"
        )
        response: Any = await rpc.post(
            envelope("tasks/resubscribe", {"id": sent["id"]}), path="/a2a/asks/"
        )
        frames = []
        async with asyncio.timeout(20):
            async for frame in response:
                frames.append(frame.decode())
                asks.may_return.set()
    first, last = [frame for frame in frames if "data:" in frame]
    assert '"kind":"task"' in first
    assert '"final":true' in last and '"auth-required"' in last


@pytest.mark.parametrize("end", ["completed", "failed", *WAITING])
async def test_a_message_that_is_sent_again_is_final_where_its_task_has_ended_or_waits(
    rpc: JsonRpcClient, end: str
) -> None:
    request = envelope("message/stream", {"message": message(f'{{"end": "{end}"}}')})
    streamed = [event["result"] for event in await events_of(await rpc.post(request, **KEY))]
    again = [event["result"] for event in await events_of(await rpc.post(request, **KEY))]
    assert [event["kind"] for event in again] == ["task", "status-update"]
    assert again[0]["id"] == streamed[0]["id"]
    assert again[-1] == streamed[-1]
    assert again[-1]["final"] is True


KEY = {"Idempotency_Key": "once"}


async def test_a_subscription_of_1_0_stays_while_its_task_waits_for_its_client(
    rpc: JsonRpcClient,
) -> None:
    task = await rpc.task(end="input-required")
    request = envelope("SubscribeToTask", {"id": task["id"]})
    response = await rpc.post(request)
    await rpc.result("CancelTask", id=task["id"])
    events = [event["result"] for event in await events_of(response)]
    assert [state(event) for event in events] == ["INPUT_REQUIRED", "CANCELED"]
