"""A server that is asked to end: what is under way is finished, or taken up by the next (R6)."""

import asyncio

import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process
from tests.wire import chunk_numbers, load_message, state

pytestmark = pytest.mark.parametrize("server", ["daphne", "uvicorn"])

SECONDS = 30
# So long that a turn which goes on soon was given up: its lease has not run out.
LONG = {"LEASE_SECONDS": 600, "SWEEP_SECONDS": 0.2}


@pytest.fixture(autouse=True)
def ends_as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "forks", False)


async def started(client: SocketClient, **load: object) -> str:
    """Begin a task and return once its agent works on it."""
    task = await client.send(load_message(**load), returnImmediately=True)
    async with client.open("SubscribeToTask", id=task["id"]) as events:
        async for _, item in events:
            if state(item) != "SUBMITTED":
                break
    return str(task["id"])


async def test_a_turn_under_way_is_finished_within_the_time_that_is_given(
    serve: Serve, server: str
) -> None:
    served = serve(server=server, SHUTDOWN_SECONDS=20, **LONG)
    async with asyncio.timeout(SECONDS), SocketClient(served.url) as client:
        task_id = await started(client, chunks=20, delay=0.05)
        await asyncio.to_thread(served.stop)
        served.start()
        task = await client.result("GetTask", id=task_id)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert chunk_numbers(task["artifacts"][0]) == list(range(20))


@pytest.mark.parametrize(("agent", "end"), [("load-retry", "COMPLETED"), ("load", "FAILED")])
async def test_a_turn_that_is_given_up_is_taken_up_at_once_by_the_next_process(
    serve: Serve, server: str, agent: str, end: str
) -> None:
    served = serve(server=server, SHUTDOWN_SECONDS=0.1, **LONG)
    async with asyncio.timeout(SECONDS), SocketClient(served.url, agent) as client:
        task_id = await started(client, chunks=20, delay=0.1)
        await asyncio.to_thread(served.stop)
        assert "given up for another process" in served.output()
        served.start()
        events = await client.stream("SubscribeToTask", id=task_id, last_event_id="1")
    assert state(events[-1][1]) == end
