"""Webhooks across crashes: an event that was accepted is delivered, whichever process dies (R6)."""

import asyncio
from typing import Any

import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.receiver import Receiver, receiving
from tests.servers import free_port
from tests.wire import load_message, state

SECONDS = 60
OPEN: dict[str, Any] = {
    "PUSH_HOSTS": ["127.0.0.1"],
    "PUSH_ALLOW_HTTP": True,
    "PUSH_RETRY_SECONDS": 0.2,
    "PUSH_TIMEOUT_SECONDS": 1,
    "SWEEP_SECONDS": 0.3,
    "LEASE_SECONDS": 1.5,
}


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_the_next_server_delivers_the_events_that_a_killed_one_had_not(
    serve: Serve, database: Any
) -> None:
    served = serve(database, **OPEN)
    async with asyncio.timeout(SECONDS):
        away = Receiver(port=free_port())
        async with SocketClient(served.url) as client:
            task = await client.send(
                load_message(chunks=3), taskPushNotificationConfig={"url": away.url, "token": "t"}
            )
            assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        await served.says("is tried again")
        served.kill()
        async with receiving(port=away.port) as receiver:
            served.start()
            await receiver.gets(5)
    assert [state(body) for body in receiver.bodies if state(body)] == ["WORKING", "COMPLETED"]
    assert {request.headers["x-a2a-notification-token"] for request in receiver.requests} == {"t"}
