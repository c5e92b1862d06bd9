"""Events that are too large for a buffer: each once, in order, with room in memory in turn (R5)."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from uuid import UUID

import pytest

from a2a_app import database
from a2a_app.concurrency.budget import PLACE_BYTES
from a2a_app.feed import Follower, Until
from a2a_app.protocol import TaskState
from a2a_app.store.events import Event
from a2a_app.store.notify import notify
from a2a_app.store.reads.tasks import position_at
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import Update
from a2a_app.store.writes.append import append
from tests.conftest import ChangeSettings
from tests.tasks import SCOPE, begin, chunk, status

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20
LARGE = "é" * PLACE_BYTES
"""A text of more than two places in JSON."""
Batches = AsyncIterator[Sequence[Event]]


@pytest.fixture(autouse=True)
def small_limits(a2a: ChangeSettings) -> None:
    # One owner has room for two large events of three places each.
    a2a(STREAM_BYTES=PLACE_BYTES, ANSWER_BYTES=10 * PLACE_BYTES, KEEPALIVE_SECONDS=0.05)


async def write(head: TaskHead, *updates: Update) -> TaskHead:
    appended = await database.run(append, head, list(updates))
    await notify(appended)
    return appended.head


@asynccontextmanager
async def following(task_id: UUID, *, owner: str = SCOPE.owner) -> AsyncIterator[Batches]:
    """Follow a task from its second event on, to its end."""
    async with asyncio.timeout(SECONDS), Follower(task_id, owner=owner) as follower:
        start = await database.read(position_at, SCOPE, str(task_id), 1)
        async with aclosing(follower.follow(start, Until())) as batches:
            yield batches


async def next_events(batches: Batches) -> Sequence[Event]:
    while not (events := await anext(batches)):
        pass
    return events


async def test_large_and_small_events_come_once_and_in_order_live_and_from_the_log() -> None:
    head = (await database.run(begin)).head
    async with following(head.task_id) as open_stream:
        head = await write(head, chunk("0", append=False), chunk(LARGE), chunk("1"))
        head = await write(head, chunk(LARGE), chunk(LARGE), chunk("2"))
        last = (await write(head, status(TaskState.COMPLETED))).seq
        seen = [[event.seq for event in batch] async for batch in open_stream]
    async with following(head.task_id) as late:
        read = [[event.seq for event in batch] async for batch in late]
    for batches in (seen, read):
        assert [number for batch in batches for number in batch] == list(range(2, last + 1))
        assert [3] in batches and [5] in batches and [6] in batches


@pytest.mark.slow
async def test_a_stream_without_room_says_that_it_is_open_and_goes_on_when_there_is_some() -> None:
    head = (await database.run(begin)).head
    await write(head, chunk(LARGE, append=False), status(TaskState.COMPLETED))
    async with (
        following(head.task_id) as one,
        following(head.task_id) as two,
        following(head.task_id) as three,
        following(head.task_id, owner="another") as other,
    ):
        held = [await next_events(one), await next_events(two)]
        # One text, though three streams have it.
        assert held[0][0].body is held[1][0].body
        assert [await anext(three), await anext(three)] == [[], []]
        assert await next_events(other)
        for stream in (other, one):
            assert (await next_events(stream))[0].state is TaskState.COMPLETED
        assert (await next_events(three))[0].seq == 2


async def test_a_stream_that_is_left_gives_its_room_back() -> None:
    head = (await database.run(begin)).head
    await write(head, chunk(LARGE, append=False))
    for _ in range(4):
        async with following(head.task_id) as left, following(head.task_id) as too:
            assert await next_events(left) and await next_events(too)


@pytest.mark.slow
async def test_a_stream_that_waits_for_the_next_event_holds_none_of_the_last() -> None:
    head = (await database.run(begin)).head
    head = await write(head, chunk(LARGE, append=False))
    async with following(head.task_id) as stream:
        events = await next_events(stream)
        held = weakref.ref(events)
        del events
        assert await anext(stream) == []
        gc.collect()
        assert held() is None
        await write(head, status(TaskState.COMPLETED))
        assert (await next_events(stream))[0].seq == 3


async def test_a_buffer_takes_no_more_bytes_than_it_may(a2a: ChangeSettings) -> None:
    a2a(STREAM_BYTES=10_000)
    head = (await database.run(begin)).head
    async with following(head.task_id) as slow:
        head = await write(head, chunk("0", append=False))
        assert [event.seq for event in await next_events(slow)] == [2]
        for _ in range(8):
            head = await write(head, chunk("x" * 2000))
        batches = [await next_events(slow)]
        while batches[-1][-1].seq < head.seq:
            batches.append(await next_events(slow))
    assert [event.seq for batch in batches for event in batch] == list(range(3, head.seq + 1))
    assert max(sum(len(event.body) for event in batch) for batch in batches) <= 10_000
