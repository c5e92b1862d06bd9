"""The feed: every event once, in order, whatever the channel layer does (R2, R4, R5)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer
from pytest_django import Settings

from a2a_app import broadcast, database, models
from a2a_app.feed import Follower, Until, topics
from a2a_app.protocol import TaskState
from a2a_app.store.events import Event
from a2a_app.store.notify import notify
from a2a_app.store.reads.log import read_positions
from a2a_app.store.reads.tasks import position_at, read_snapshot
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import MessageReceived, Returned, Update
from a2a_app.store.writes.append import append
from tests.tasks import SCOPE, begin, begin_and_claim, chunk, claim_of, new_message, status

pytestmark = pytest.mark.usefixtures("runtime")

TO_THE_END = Until()
SECONDS = 20
LAYERS = [
    "channels.layers.InMemoryChannelLayer",
    "tests.channel_layers.Silent",
    "tests.channel_layers.Unreliable",
    "tests.channel_layers.Broken",
]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have messages published by another process, as far as the listeners here can tell."""
    hubs: list[broadcast.Hub] = []

    async def publish(group: str, message: dict[str, Any]) -> None:
        if not hubs:
            hubs.append(broadcast.Hub(get_channel_layer()))
        await hubs[0].send(group, message)

    monkeypatch.setattr(broadcast, "publish", publish)


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest, settings: Settings, elsewhere: None) -> str:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": request.param}}
    settings.A2A = {**settings.A2A, "POLL_SECONDS": 0.05}
    return str(request.param)


async def write(head: TaskHead, *updates: Update) -> TaskHead:
    """Append, and notify as a writer does."""
    appended = await database.run(append, head, list(updates))
    await notify(appended)
    return appended.head


async def follow(
    task_id: UUID, until: Until = TO_THE_END, *, after: int | None = None
) -> list[int]:
    """Follow a task from now, or from a number, to the end of the stream; return the numbers."""
    return [event.seq async for event in events(task_id, until, after=after)]


async def events(
    task_id: UUID, until: Until = TO_THE_END, *, after: int | None = None
) -> AsyncIterator[Event]:
    async with asyncio.timeout(SECONDS), Follower(task_id, owner=SCOPE.owner) as follower:
        if after is None:
            start = (await database.run(read_snapshot, SCOPE, str(task_id))).position
        else:
            start = await database.run(position_at, SCOPE, str(task_id), after)
        async with aclosing(follower.follow(start, until)) as batches:
            async for batch in batches:
                for event in batch:
                    yield event


@pytest.mark.usefixtures("layer")
async def test_streams_that_begin_at_any_time_see_every_event_after_it_once_and_in_order() -> None:
    head = (await database.run(begin)).head
    head = await write(head, chunk("0", append=False))
    streams = []
    for number in range(60):
        if number % 20 == 0:
            streams.append(asyncio.create_task(follow(head.task_id, after=head.seq)))
            streams.append(asyncio.create_task(follow(head.task_id)))
        head = await write(head, chunk(str(number)), chunk("…"))
    last = (await write(head, status(TaskState.COMPLETED))).seq
    for seen in await asyncio.gather(*streams):
        assert seen == list(range(seen[0], last + 1))
    resumed = await asyncio.gather(*streams[::2])
    assert [seen[0] for seen in resumed] == [3, 43, 83]


@pytest.mark.usefixtures("layer")
async def test_a_stream_that_resumes_far_back_sees_the_whole_log() -> None:
    head = await write((await database.run(begin)).head, chunk("0", append=False))
    head = await write(head, *(chunk(str(n)) for n in range(700)))
    resumed = asyncio.create_task(follow(head.task_id, after=0))
    last = (await write(head, status(TaskState.FAILED))).seq
    assert await resumed == list(range(1, last + 1))


@pytest.mark.usefixtures("layer")
@pytest.mark.parametrize("end", ["COMPLETED", "FAILED", "CANCELED", "REJECTED"])
async def test_every_terminal_state_ends_every_stream(end: str) -> None:
    head = (await database.run(begin)).head
    streams = [asyncio.create_task(follow(head.task_id, after=1)) for _ in range(3)]
    await write(head, status(TaskState[end]))
    assert await asyncio.gather(*streams) == [[2]] * 3


@pytest.mark.usefixtures("layer")
@pytest.mark.parametrize("state", ["INPUT_REQUIRED", "AUTH_REQUIRED"])
async def test_a_senders_stream_ends_where_its_turn_is_over_and_a_subscribers_goes_on(
    state: str,
) -> None:
    claim = await database.run(begin_and_claim)
    task_id = claim.head.task_id
    sender = asyncio.create_task(follow(task_id, Until(1), after=1))
    subscriber = asyncio.create_task(follow(task_id, after=1))
    appended = await database.run(
        append, claim.head, [status(TaskState[state], "?")], run=claim.run
    )
    await notify(appended)
    # The agent may go on without an answer: its turn is not over before it returns.
    appended = await database.run(append, appended.head, [status(TaskState.WORKING)], run=claim.run)
    await notify(appended)
    updates: list[Update] = [status(TaskState[state], "?"), Returned()]
    appended = await database.run(append, appended.head, updates, run=claim.run)
    await notify(appended)
    assert await sender == [2, 3, 4]
    head = await write(appended.head, MessageReceived(new_message("answer")))
    await write(head, status(TaskState.COMPLETED))
    assert await subscriber == [2, 3, 4, 5, 6]


async def test_a_sender_that_waits_for_an_answer_gets_it_while_the_turn_goes_on() -> None:
    claim = await database.run(begin_and_claim)
    waiting = asyncio.create_task(follow(claim.head.task_id, Until(1, turn_over=False), after=1))
    updates = [status(TaskState.AUTH_REQUIRED, "?")]
    await notify(await database.run(append, claim.head, updates, run=claim.run))
    assert await waiting == [2]


@pytest.mark.usefixtures("layer")
async def test_an_answer_that_comes_before_the_agent_returns_is_waited_for_to_its_own_end() -> None:
    claim = await database.run(begin_and_claim)
    task_id = claim.head.task_id
    asker = asyncio.create_task(follow(task_id, Until(1), after=1))
    updates: list[Update] = [status(TaskState.INPUT_REQUIRED, "?")]
    appended = await database.run(append, claim.head, updates, run=claim.run)
    await notify(appended)
    appended = await database.run(append, appended.head, [MessageReceived(new_message("answer"))])
    await notify(appended)
    sent = appended.head.seq
    waiting = asyncio.create_task(follow(task_id, Until(2, turn_over=False), after=sent))
    streaming = asyncio.create_task(follow(task_id, Until(2), after=sent))
    appended = await database.run(append, appended.head, [Returned()], run=claim.run)
    await notify(appended)
    assert appended.head.state is TaskState.SUBMITTED
    following = await database.run(claim_of, task_id)
    assert following is not None
    head = following.head
    for update in (chunk("thanks", append=False), status(TaskState.INPUT_REQUIRED, "and?")):
        appended = await database.run(append, head, [update], run=following.run)
        await notify(appended)
        head = appended.head
    assert await asker == [2, 3]
    assert await waiting == [4, 5, 6]
    await notify(await database.run(append, head, [Returned()], run=following.run))
    assert await streaming == [4, 5, 6]


async def test_the_first_commit_of_a_task_is_published_to_nobody_and_all_others_are() -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    appended = await database.run(begin)
    await broadcast.listen(broadcast.task_group(appended.head.task_id), heard.put_nowait)
    await notify(appended)
    head = await write(appended.head, status(TaskState.WORKING))
    await write(head, status(TaskState.COMPLETED))
    async with asyncio.timeout(SECONDS):
        assert [(await heard.get())["seq"] for _ in range(2)] == [2, 3]


@pytest.mark.slow
async def test_a_slow_stream_holds_up_nobody_and_misses_nothing(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "STREAM_BUFFER": 10}
    head = (await database.run(begin)).head
    slow = events(head.task_id, after=1)
    head = await write(head, chunk("0", append=False))
    seen = [(await anext(slow)).seq]
    quick = asyncio.create_task(follow(head.task_id, after=1))
    for number in range(300):
        head = await write(head, chunk(str(number)))
    last = (await write(head, status(TaskState.COMPLETED))).seq
    # The slow one has read nothing meanwhile, and the quick one has all.
    assert await quick == list(range(2, last + 1))
    seen += [event.seq async for event in slow]
    assert seen == list(range(2, last + 1))


async def test_a_stream_does_not_outlive_its_task(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "POLL_SECONDS": 0.05}
    head = (await database.run(begin)).head
    stream = events(head.task_id, after=1)
    await write(head, chunk("0", append=False))
    assert (await anext(stream)).seq == 2
    await database.run(models.Task.objects.all().delete)
    assert [event.seq async for event in stream] == []


async def test_a_stream_whose_log_is_taken_away_ends(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "STREAM_BUFFER": 1}
    head = (await database.run(begin)).head
    stream = events(head.task_id, after=1)
    head = await write(head, chunk("0", append=False))
    assert (await anext(stream)).seq == 2
    # Too many for its buffer: it has to read the log, which is gone.
    await write(head, chunk("1"), chunk("2"), status(TaskState.COMPLETED))
    await database.run(models.Event.objects.all().delete)
    assert [event.seq async for event in stream] == []


@pytest.mark.slow
async def test_a_silent_stream_says_so_and_can_be_kept_open(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "KEEPALIVE_SECONDS": 0.05}
    head = (await database.run(begin)).head
    async with asyncio.timeout(SECONDS), Follower(head.task_id, owner=SCOPE.owner) as follower:
        start = (await database.run(read_snapshot, SCOPE, str(head.task_id))).position
        async with aclosing(follower.follow(start, TO_THE_END)) as batches:
            assert [await anext(batches), await anext(batches)] == [[], []]


async def test_a_task_that_is_stored_while_the_poll_reads_is_not_taken_for_gone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.A2A = {**settings.A2A, "POLL_SECONDS": 0.01}
    stored = asyncio.Event()
    answered = asyncio.Event()
    read = database.read

    async def slow(work: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the poll's answer late, as a busy machine may, when it is no longer true."""
        answer = await read(work, *args, **kwargs)
        if work is read_positions and not stored.is_set():
            answered.set()
            await stored.wait()
        return answer

    appended = await database.run(begin)
    head = appended.head
    await database.run(models.Task.objects.all().delete)
    monkeypatch.setattr(database, "read", slow)
    async with asyncio.timeout(SECONDS), Follower(head.task_id, owner=SCOPE.owner) as follower:
        # The poll has found no such task. Now it is stored and followed, and the poll goes on.
        await answered.wait()
        new = replace(head, seq=0, turn=0)
        appended = await database.run(append, new, [MessageReceived(new_message())])
        batches = follower.follow(appended.position, TO_THE_END)
        following = asyncio.ensure_future(anext(batches))
        await asyncio.sleep(0)
        stored.set()
        await write(appended.head, status(TaskState.COMPLETED))
        assert [event.seq for event in await following] == [2]
        await batches.aclose()


async def test_a_stream_hears_what_is_written_here_without_the_layer(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "POLL_SECONDS": 600}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Broken"}}
    head = (await database.run(begin)).head
    stream = asyncio.create_task(follow(head.task_id, after=1))
    head = await write(head, status(TaskState.WORKING))
    await write(head, status(TaskState.COMPLETED))
    assert await stream == [2, 3]


@pytest.mark.usefixtures("elsewhere")
async def test_a_stream_of_what_is_done_here_joins_the_others_if_it_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.A2A = {**settings.A2A, "POLL_SECONDS": 600}
    monkeypatch.setattr(topics, "JOIN_SECONDS", 0.01)
    layer = get_channel_layer()
    assert isinstance(layer, InMemoryChannelLayer)
    head = (await database.run(begin)).head
    group = broadcast.task_group(head.task_id)
    async with asyncio.timeout(SECONDS):
        async with Follower(head.task_id, owner=SCOPE.owner, runs_here=True) as follower:
            assert group not in layer.groups
            start = await database.run(position_at, SCOPE, str(head.task_id), 1)
            # Nobody hears of this: it is in the log when the stream joins.
            head = await write(head, status(TaskState.WORKING))
            async with aclosing(follower.follow(start, TO_THE_END)) as batches:
                assert [event.seq for event in await anext(batches)] == [2]
                head = await write(head, chunk("x", append=False))
                assert [event.seq for event in await anext(batches)] == [3]
        assert not layer.groups.get(group)


async def test_a_stream_that_ends_soon_has_not_asked_the_layer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.A2A = {**settings.A2A, "POLL_SECONDS": 600}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Silent"}}
    monkeypatch.setattr(topics, "JOIN_SECONDS", 600)
    layer = get_channel_layer()
    assert isinstance(layer, InMemoryChannelLayer)
    head = (await database.run(begin)).head
    async with (
        asyncio.timeout(SECONDS),
        Follower(head.task_id, owner=SCOPE.owner, runs_here=True) as follower,
    ):
        start = await database.run(position_at, SCOPE, str(head.task_id), 1)
        batches = follower.follow(start, TO_THE_END)
        await write(head, status(TaskState.COMPLETED))
        assert [event.seq async for batch in batches for event in batch] == [2]
    assert not layer.groups
