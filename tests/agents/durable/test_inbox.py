"""Live input: what a client says while a turn is at work, and who gets it."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from a2a_app import database, models
from a2a_app.agents import Turn
from a2a_app.agents.extensions import LIVE, QUEUE, REFUSE
from a2a_app.agents.registry import make_agent
from a2a_app.models.run import Outcome
from a2a_app.protocol import Message, Task, TaskState, UnsupportedOperationError
from a2a_app.store.durable.inbox import READ_LIMIT
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import LIVE_INPUT, MessageReceived
from a2a_app.store.writes.append import append
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.cuts import said_in
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")

ROOT = Path(__file__).parents[3]
SECONDS = 20


class Gate:
    """Where an agent's code waits until the test lets it on, and tells that it is there."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        async with asyncio.timeout(SECONDS):
            await self.opened.wait()


def to(task: Task, text: str) -> Message:
    return new_message(text, task_id=task.id)


def texts(task: Task) -> list[str]:
    return [artifact.parts[0].text or "" for artifact in task.artifacts]


async def begun(client: OperationsClient, text: str = "go") -> Task:
    return await client.send(text, return_immediately=True)


def runs(task: Task) -> list[tuple[int, str]]:
    rows = models.Run.objects.filter(task=UUID(task.id)).order_by("turn", "attempt")
    return list(rows.values_list("turn", "outcome"))


def readings(task: Task) -> list[tuple[str, int]]:
    """Return what the log says of messages that were read, each with the turn of its event."""
    events = (
        models.Event.objects.filter(task=UUID(task.id)).order_by("seq").values_list("body", "turn")
    )
    said = [(json.loads(body).get("statusUpdate", {}), turn) for body, turn in events]
    told = [(each.get("metadata", {}).get(LIVE_INPUT), turn) for each, turn in said]
    return [(each["read"], turn) for each, turn in told if each]


async def reads_until_stop(turn: Turn) -> None:
    await turn.working()
    async for message in turn.inbox:
        if message.text == "stop":
            break
        await turn.artifact(f"heard {message.text}")


def reads_in_a_thread(turn: Turn) -> None:
    turn.working()
    assert turn.wait(turn.interrupted.wait(SECONDS))
    for message in turn.inbox:
        if message.text == "stop":
            break
        turn.artifact(f"heard {message.text}")


@pytest.mark.parametrize("subject", [reads_until_stop, reads_in_a_thread])
async def test_messages_reach_the_turn_at_work(subject: Callable[..., Any]) -> None:
    with client_of(subject, when_busy=LIVE) as client:
        task = await begun(client)
        sent = [to(task, "a"), to(task, "b"), to(task, "stop")]
        for message in sent[:-1]:
            await client.send(message, return_immediately=True)
        done = await client.send(sent[-1])
    # Whoever says something meanwhile gets what comes of it.
    assert done.status.state is TaskState.COMPLETED
    assert texts(done) == ["heard a", "heard b"]
    assert [message.text for message in done.history] == ["go", "a", "b", "stop"]
    told = await database.run(readings, task)
    assert told == [(each.message_id, turn) for turn, each in enumerate(sent, 2)]
    assert await database.run(runs, task) == [
        (1, Outcome.COMPLETED), (2, Outcome.READ), (3, Outcome.READ), (4, Outcome.READ),
    ]  # fmt: skip  # as one list


async def test_what_is_not_read_begins_the_next_turn() -> None:
    gate = Gate()

    async def reads_one(turn: Turn) -> str:
        await gate()
        if turn.number == 1:
            return f"{turn.text} and {(await turn.inbox.get()).text}"
        return turn.text

    with client_of(reads_one, when_busy=LIVE) as client:
        task = await begun(client)
        for text in "abc":
            await client.send(to(task, text), return_immediately=True)
        stream = client.subscribe(task.id)
        await anext(stream)
        gate.opened.set()
        events = [event async for event in stream]
        done = await client.get(task.id)
    assert events[-1]["statusUpdate"]["status"]["state"] == TaskState.COMPLETED
    assert texts(done) == ["go and a", "b", "c"]
    assert await database.run(runs, task) == [
        (1, Outcome.YIELDED), (2, Outcome.READ), (3, Outcome.YIELDED), (4, Outcome.COMPLETED),
    ]  # fmt: skip  # as one list


@pytest.mark.slow
async def test_each_message_is_read_or_begins_a_turn_whenever_it_comes() -> None:
    heard: list[str] = []
    has_heard_all = asyncio.Event()

    async def leaves_when_nothing_waits(turn: Turn) -> None:
        heard.append(turn.text)
        while turn.interrupted.is_set():
            heard.append((await turn.inbox.get()).text)
            await turn.working()
        if len(heard) == 1 + len(sent):
            has_heard_all.set()
        await turn.input_required("More?")

    sent = [f"m{number}" for number in range(20)]
    with client_of(leaves_when_nothing_waits, when_busy=LIVE) as client:
        task = await client.send("go")
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*[client.send(to(task, text)) for text in sent])
            await has_heard_all.wait()
        done = await client.get(task.id)
    assert heard[0] == "go"
    said = [message.text for message in done.history if message.text in sent]
    assert heard[1:] == said
    assert sorted(heard[1:]) == sorted(sent)


async def test_streams_of_both_messages_end_where_the_turn_asks() -> None:
    gate = Gate()

    async def asks(turn: Turn) -> None:
        await turn.working()
        await gate()
        said = await turn.inbox.get()
        await turn.input_required(f"What of {said.text}?")

    with client_of(asks, when_busy=LIVE) as client:
        first = asyncio.create_task(client.stream("go"))
        async with asyncio.timeout(SECONDS):
            await gate.reached.wait()
        task = await database.run(models.Task.objects.get)
        message = new_message("this", task_id=str(task.pk))
        second = asyncio.create_task(client.stream(message))
        gate.opened.set()
        async with asyncio.timeout(SECONDS):
            streams = await asyncio.gather(first, second)
    for stream in streams:
        # The second may begin so late that it has the task and no more.
        said = stream[-1].get("statusUpdate") or stream[-1]["task"]
        assert said["status"]["message"]["parts"] == [{"text": "What of this?"}]
    assert streams[0][-2]["statusUpdate"]["metadata"] == {LIVE_INPUT: {"read": message.message_id}}


async def test_a_turn_that_asks_gets_the_answer() -> None:
    async def asks(turn: Turn) -> str:
        await turn.input_required("Which?")
        answer = await turn.inbox.get()
        return f"{turn.text}: {answer.text}"

    with client_of(asks, when_busy=LIVE) as client:
        asked = await client.send("go")
        assert asked.status.state is TaskState.INPUT_REQUIRED
        done = await client.send(to(asked, "that"))
    assert done.status.state is TaskState.COMPLETED
    assert texts(done) == ["go: that"]
    states = [event[0] for event in await database.run(said_in, UUID(asked.id)) if len(event) == 2]
    asked_at = states.index(TaskState.INPUT_REQUIRED)
    assert states[asked_at:] == [
        TaskState.INPUT_REQUIRED, TaskState.INPUT_REQUIRED,  # the second as the answer comes
        TaskState.SUBMITTED, TaskState.COMPLETED,
    ]  # fmt: skip  # as one list


async def test_a_cancelled_wait_has_read_nothing() -> None:
    reading = asyncio.Event()

    async def gives_up_once(turn: Turn) -> str:
        waiting = asyncio.create_task(turn.inbox.get())
        assert not await turn.interrupted.wait(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        reading.set()
        assert await turn.interrupted.wait()
        return (await turn.inbox.get()).text

    with client_of(gives_up_once, when_busy=LIVE) as client:
        task = await begun(client)
        async with asyncio.timeout(SECONDS):
            await reading.wait()
        done = await client.send(to(task, "a"))
    assert texts(done) == ["a"]


async def test_a_message_of_another_process_is_found_without_a_word(a2a: ChangeSettings) -> None:
    a2a(POLL_SECONDS=0.05)
    with client_of(reads_until_stop, when_busy=LIVE) as client:
        task = await begun(client)

        def store() -> None:
            message = new_message("stop", task_id=task.id)
            append(read_task_head(models.Task.objects.get().pk), [MessageReceived(message)])

        stream = client.subscribe(task.id)
        await anext(stream)
        await database.run(store)
        events = [event async for event in stream]
    assert events[-1]["statusUpdate"]["status"]["state"] == TaskState.COMPLETED


@pytest.mark.slow
async def test_more_messages_than_are_read_at_once_come_in_order() -> None:
    gate = Gate()

    async def reads_all(turn: Turn) -> None:
        await gate()
        await reads_until_stop(turn)

    sent = [str(number) for number in range(2 * READ_LIMIT)]
    with client_of(reads_all, when_busy=LIVE, waiting_turns_per_task=0) as client:
        task = await begun(client)
        for text in sent:
            await client.send(to(task, text), return_immediately=True)
        gate.opened.set()
        done = await client.send(to(task, "stop"))
    assert texts(done) == [f"heard {text}" for text in sent]


async def test_a_task_that_is_cancelled_ends_a_thread_that_waits_for_messages() -> None:
    waits = asyncio.Event()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listens(turn: Turn) -> None:
        loop.call_soon_threadsafe(waits.set)
        try:
            for _ in turn.inbox:
                pass
        finally:
            loop.call_soon_threadsafe(ended.set)

    with client_of(listens, when_busy=LIVE) as client:
        task = await begun(client)
        async with asyncio.timeout(SECONDS):
            await waits.wait()
            assert (await client.cancel(task.id)).status.state is TaskState.CANCELED
            await ended.wait()


async def test_an_agent_may_refuse_messages_while_it_works() -> None:
    gate = Gate()

    async def works(turn: Turn) -> None:
        if turn.number == 1:
            await gate()
            await turn.input_required("Which?")
        else:
            await turn.complete(turn.text)

    with client_of(works, when_busy=REFUSE) as client:
        first = asyncio.create_task(client.send("go"))
        async with asyncio.timeout(SECONDS):
            await gate.reached.wait()
        task = await client.get(str((await database.run(models.Task.objects.get)).pk))
        with pytest.raises(UnsupportedOperationError, match="takes no message until it asks"):
            await client.send(to(task, "too early"))
        gate.opened.set()
        asked = await first
        done = await client.send(to(asked, "that"))
    assert done.status.message is not None and done.status.message.text == "that"
    assert "too early" not in [message.text for message in done.history]


async def test_an_agent_that_declares_nothing_has_no_inbox() -> None:
    async def listens(turn: Turn) -> None:
        await turn.inbox.get()

    with client_of(listens) as client:
        task = await client.send("go")
    assert task.status.state is TaskState.FAILED
    [error] = await database.run(lambda: list(models.Run.objects.values_list("error", flat=True)))
    assert "declare when_busy='live'" in error


async def test_an_agent_with_async_cannot_block_its_event_loop() -> None:
    async def blocks(turn: Turn) -> None:
        for _ in turn.inbox:
            pass

    with client_of(blocks, when_busy=LIVE) as client:
        task = await client.send("go")
    assert task.status.state is TaskState.FAILED


def test_the_page_on_the_extension_shows_what_cards_say() -> None:
    page = (ROOT / "docs" / "extensions" / "live-input.md").read_text()
    declaration = json.loads(page.partition("```json\n")[2].partition("```")[0])
    made = {word: make_agent(reads_until_stop, when_busy=word) for word in (QUEUE, LIVE, REFUSE)}
    declared = {
        word: [each.to_dict() for each in agent.declared_extensions if each.uri == LIVE_INPUT]
        for word, agent in made.items()
    }
    assert declared[LIVE] == [declaration]
    assert declared[REFUSE][0]["params"] == {"whenBusy": REFUSE}
    assert declared[QUEUE] == []


def test_an_unknown_word_for_busy_tasks_is_refused() -> None:
    with pytest.raises(
        ValueError, match="when_busy of agent 'reads_until_stop' is none of queue, live"
    ):
        make_agent(reads_until_stop, when_busy="ignore")
