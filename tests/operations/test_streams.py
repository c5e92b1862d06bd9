"""Streams: an open one holds nothing of its request, and one that nobody reads is closed (R14)."""

import asyncio
import weakref
from typing import Any
from uuid import uuid4

import pytest

from a2a_app.agents import Turn
from a2a_app.feed import Follower, Until
from a2a_app.operations.call import Call
from a2a_app.operations.idempotency import send_streaming_message
from a2a_app.operations.streams import Stream, StreamStart, open_stream
from a2a_app.operations.tasks import subscribe_to_task
from a2a_app.protocol import SendMessageRequest, SubscribeToTaskRequest, TaskState
from a2a_app.store.events import Position
from tests.clients.operations import client_of
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20


async def hangs(turn: Turn) -> None:
    await asyncio.Event().wait()


class WatchedFollower(Follower):
    """A follower that tells when it has left its task."""

    def __init__(self) -> None:
        super().__init__(uuid4(), owner="")
        self.left = asyncio.Event()

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        self.left.set()


class StuckFollower(Follower):
    """A follower that cannot listen, such as when the channel layer hangs."""

    def __init__(self) -> None:
        super().__init__(uuid4(), owner="")
        self.entered = asyncio.Event()

    async def __aenter__(self) -> Follower:
        self.entered.set()
        await asyncio.Event().wait()
        return self


async def begins() -> StreamStart:
    return StreamStart([], Position(uuid4(), 0, 0, TaskState.SUBMITTED, 0, 0), Until())


async def refuses() -> StreamStart:
    raise LookupError("no such task")


async def sent(call: Call, message_id: str) -> tuple[Stream, "weakref.ref[Any]"]:
    """Send a message that nobody else holds; return the stream, and a reference to the message."""
    message = new_message("hello").model_copy(update={"message_id": message_id})
    stream = await send_streaming_message(call, SendMessageRequest(message=message))
    return stream, weakref.ref(message)


async def subscribed(call: Call, task_id: str) -> tuple[Stream, "weakref.ref[Any]"]:
    """Subscribe to a task; return the stream, and a reference to the parameters."""
    params = SubscribeToTaskRequest(id=task_id)
    return await subscribe_to_task(call, params), weakref.ref(params)


async def test_an_open_stream_holds_nothing_of_its_request() -> None:
    with client_of(hangs, idempotent=True) as client:
        task = await client.send(return_immediately=True)
        for opening in (
            sent(client.call, "1"),
            sent(client.call, "1"),  # is found to be sent already, and joins the first
            subscribed(client.call, task.id),
        ):
            stream, held = await opening
            assert await anext(stream)
            assert held() is None
            await stream.aclose()


async def test_a_stream_that_nobody_reads_leaves_its_task() -> None:
    follower = WatchedFollower()
    await open_stream(follower, begins())
    async with asyncio.timeout(SECONDS):
        await follower.left.wait()


async def test_a_stream_that_is_refused_leaves_its_task() -> None:
    follower = WatchedFollower()
    with pytest.raises(LookupError, match="no such task"):
        await open_stream(follower, refuses())
    assert follower.left.is_set()


async def test_a_stream_whose_client_leaves_before_it_listens_reads_nothing() -> None:
    follower = StuckFollower()
    opening = asyncio.create_task(open_stream(follower, refuses()))
    await follower.entered.wait()
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
