"""Two servers, one database, one layer: what one writes, the other's streams show (R2, R4)."""

import asyncio
from typing import get_args

import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Layer, fresh_database
from tests.wire import load_message, state, text

SECONDS = 30
SHARED = [layer for layer in get_args(Layer) if layer != "memory"]


@pytest.mark.parametrize("layer", SHARED)
async def test_an_event_of_one_process_reaches_the_streams_of_another(
    serve: Serve, layer: Layer
) -> None:
    with fresh_database("postgresql") as url:
        # So long between polls that only the channel layer can have brought what is seen.
        options = {"database_url": url, "layer": layer, "POLL_SECONDS": 600}
        one, other = serve(**options), serve(**options)
        async with (
            asyncio.timeout(SECONDS),
            SocketClient(one.url) as here,
            SocketClient(other.url) as there,
        ):
            task = await here.send(load_message(chunks=50, delay=0.01), returnImmediately=True)
            # From the first event on, since a busy machine may have ended the task by now.
            streams = [
                there.stream("SubscribeToTask", id=task["id"], last_event_id="1") for _ in range(3)
            ]
            for seen in await asyncio.gather(*streams):
                first, last = seen[0][0], seen[-1][0]
                assert [number for number, _ in seen] == list(range(first, last + 1))
                assert state(seen[-1][1]) == "COMPLETED"
                assert text(seen[-2][1]).startswith("49 ")
        for process in (one, other):
            process.kill()  # before its database goes


@pytest.mark.parametrize("layer", SHARED)
async def test_a_senders_stream_hears_of_another_process_too(serve: Serve, layer: Layer) -> None:
    with fresh_database("postgresql") as url:
        options = {"database_url": url, "layer": layer, "POLL_SECONDS": 600, "LEASE_SECONDS": 600}
        one, other = serve(**options), serve(**options)
        async with (
            asyncio.timeout(SECONDS),
            SocketClient(one.url) as here,
            SocketClient(other.url) as there,
            here.open("SendStreamingMessage", message=load_message(end="hang")) as events,
        ):
            task = (await anext(events))[1]["task"]
            await there.result("CancelTask", id=task["id"])
            assert [state(item) async for _, item in events][-1] == "CANCELED"
        for process in (one, other):
            process.kill()


@pytest.mark.parametrize("layer", SHARED)
async def test_cancelling_in_one_process_stops_the_agent_in_another(
    serve: Serve, layer: Layer
) -> None:
    with fresh_database("postgresql") as url:
        options = {"database_url": url, "layer": layer, "POLL_SECONDS": 600, "LEASE_SECONDS": 600}
        one, other = serve(**options), serve(**options)
        async with (
            asyncio.timeout(SECONDS),
            SocketClient(one.url) as here,
            SocketClient(other.url) as there,
        ):
            task = await here.send(load_message(end="hang"), returnImmediately=True)
            async with here.open("SubscribeToTask", id=task["id"]) as events:
                while state((await anext(events))[1]) != "WORKING":
                    pass
                await there.result("CancelTask", id=task["id"])
                assert [state(item) async for _, item in events if state(item)] == ["CANCELED"]
            await one.says("is stopped")
        for process in (one, other):
            process.kill()
