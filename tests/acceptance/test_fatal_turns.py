"""A turn that ends the process that works on it does so a few times only (R6)."""

import asyncio

import httpx
import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.wire import load_message, state

SECONDS = 60


async def test_a_turn_that_takes_its_process_along_is_begun_as_often_as_its_agent_declares(
    serve: Serve,
) -> None:
    # A loaded machine renews leases late, and only what dies may lose one here.
    served = serve(LEASE_SECONDS=2, SWEEP_SECONDS=0.2)
    async with SocketClient(served.url, "fatal") as client:
        with pytest.raises(httpx.TransportError):
            await client.send(load_message())
    ends = 1
    async with asyncio.timeout(SECONDS):
        while True:
            served.kill()  # waits until it is gone, if it is not yet
            try:
                await asyncio.to_thread(served.start)
                await served.says("is lost, and task")
                break
            except RuntimeError:  # it has ended again, before or after it listened
                ends += 1
    assert ends == 3
    async with SocketClient(served.url, "fatal") as client:
        [task] = (await client.result("ListTasks"))["tasks"]
    assert state({"task": task}) == "FAILED"
