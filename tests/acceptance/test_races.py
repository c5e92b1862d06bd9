"""Cancelling against completing, at the same instant in two processes: one of them wins (R3)."""

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from tests.acceptance.records import records
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster
from tests.wire import message, state

SECONDS = 90
RACES, AT_ONCE = 300, 20
NOT_CANCELABLE = -32002


async def test_of_an_end_and_a_cancel_at_the_same_instant_one_wins_for_everybody(
    database_url: str,
) -> None:
    with Cluster(database_url=database_url) as site:
        servers, _ = site.start(servers=2, workers=1)
        async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
            here, there = [
                await stack.enter_async_context(SocketClient(server.url, "steps"))
                for server in servers
            ]
            places = asyncio.Semaphore(AT_ONCE)
            ends = Counter(
                await asyncio.gather(*[_race(here, there, n, places) for n in range(RACES)])
            )
            listed = await _listed(here)
            assert await _listed(there) == listed
    found = records(database_url)
    assert len(found) == RACES
    for record in found.values():
        record.check()
    assert listed == {record.id: record.state for record in found.values()}
    assert ends == Counter(record.state for record in found.values())
    # Neither is always the quicker one, or there was no race.
    assert ends.keys() == {"COMPLETED", "CANCELED"}


async def _race(
    here: SocketClient, there: SocketClient, number: int, places: asyncio.Semaphore
) -> str:
    """Cancel a task about when it ends, and return the end that everybody has seen."""
    # The agent ends after a delay that sweeps over the time that the cancel needs.
    said = message(json.dumps({"steps": 1, "delay": (number % 20) * 0.005}))
    async with places, here.open("SendStreamingMessage", message=said) as events:
        seen = [await anext(events)]
        task_id = seen[0][1]["task"]["id"]
        canceled = await there.call("CancelTask", id=task_id)
        seen += [event async for event in events]
        ends = {state(seen[-1][1]), _told(canceled)}
        if number % 10 == 0:
            for client in (here, there):
                ends.add(_state(await client.result("GetTask", id=task_id)))
    assert [seq for seq, _ in seen] == list(range(seen[0][0], seen[0][0] + len(seen)))
    [end] = ends
    return end


def _told(canceled: dict[str, Any]) -> str:
    """Return the end that the answer to a cancel tells of."""
    if "error" in canceled:
        assert canceled["error"]["code"] == NOT_CANCELABLE, canceled
        return "COMPLETED"
    return _state(canceled["result"])


def _state(task: dict[str, Any]) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_")


async def _listed(client: SocketClient) -> dict[str, str]:
    """List all tasks, and return the state of each."""
    found: dict[str, str] = {}
    token = ""
    while True:
        page = await client.result("ListTasks", pageSize=100, pageToken=token)
        found |= {task["id"]: _state(task) for task in page["tasks"]}
        token = page.get("nextPageToken", "")
        if not token:
            return found
