"""Generations, as our clients use them: of an agent here, and of one behind HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from a2a_app.agents import TaskState, Turn
from a2a_app.client import Event, RemoteAgent, RemoteAgentError
from a2a_app.feed.topics import current_feed
from a2a_app.protocol import TaskGenerationMismatchError, UnsupportedOperationError
from a2a_app.testing import AsyncClient, agent_for_test
from project.asgi import application
from tests.conftest import ChangeSettings
from tests.sites import named_blocks

SECONDS = 20
BASE = "https://agents.example.com"
WAYS = ["here", "JSONRPC", "HTTP+JSON", "in tests"]


async def asker(turn: Turn) -> str | None:
    """Ask until it is told to end."""
    if turn.text == "end":
        return "Done"
    await turn.input_required("Go on?")
    return None


@asynccontextmanager
async def client_of(way: str) -> AsyncIterator[RemoteAgent | AsyncClient]:
    """Make a client of `asker` that wants to know generations."""
    with agent_for_test(asker):
        if way == "in tests":
            async with AsyncClient("asker", user=None, generations=True) as tester:
                yield tester
            return
        name = "asker" if way == "here" else f"{BASE}/a2a/asker"
        transport = None if way == "here" else httpx.ASGITransport(application)
        binding = "" if way == "here" else way
        async with RemoteAgent(
            name, binding=binding, version="1.0", generations=True, transport=transport
        ) as remote:
            yield remote


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_what_is_sent_at_another_generation_is_refused_and_a_stream_goes_on_after_one(
    way: str, runtime: None, a2a: ChangeSettings
) -> None:
    a2a(DRAFTS=["1.1"])
    async with client_of(way) as client:
        events = await all_of(client.stream("hello"))
        assert [event.generation for event in events] == list(range(1, len(events) + 1))
        asked = await client.get(events[0])
        assert asked.generation == len(events)
        again = await client.send("once more", task=asked, if_generation=asked)
        with pytest.raises(TaskGenerationMismatchError):
            await client.send("end", task=asked, if_generation=asked)
        with pytest.raises(TaskGenerationMismatchError):
            await all_of(client.stream("end", task=asked, if_generation=asked))
        with pytest.raises(TaskGenerationMismatchError):
            await client.cancel(asked, if_generation=asked)
        now = await client.get(asked)
        assert (now.generation, now.state) == (again.generation, TaskState.INPUT_REQUIRED)
        ended = await client.send("end", task=now, if_generation=now)
        rest = await all_of(client.subscribe(ended, after=now))
        assert ended.generation is not None and now.generation is not None
        numbers = list(range(now.generation + 1, ended.generation + 1))
        assert [event.generation for event in rest] == numbers
        assert rest[-1].state is TaskState.COMPLETED
        with pytest.raises(UnsupportedOperationError):
            await all_of(client.subscribe(ended, after=ended))


@pytest.mark.parametrize("way", WAYS)
async def test_a_task_is_waited_for_until_it_is_newer(
    way: str, runtime: None, a2a: ChangeSettings
) -> None:
    a2a(DRAFTS=["1.1"])
    async with client_of(way) as client:
        asked = await client.send("hello")
        before = current_feed()._streams.total()
        waits = asyncio.create_task(client.get(asked, newer_than=asked))
        async with asyncio.timeout(SECONDS):
            while current_feed()._streams.total() == before:  # noqa: ASYNC110  # no event is set there
                await asyncio.sleep(0)
        canceled = await client.cancel(asked, if_generation=asked)
        found = await asyncio.wait_for(waits, SECONDS)
    assert (found.state, found.generation) == (TaskState.CANCELED, canceled.generation)


async def test_an_agent_whose_card_lists_the_draft_first_is_spoken_to(
    runtime: None, a2a: ChangeSettings
) -> None:
    a2a(DRAFTS=["1.1"], PROTOCOL_VERSIONS=["1.1", "1.0", "0.3"], GRPC_URL="agents.example.com:1")
    transport = httpx.ASGITransport(application)
    with agent_for_test(asker):
        async with RemoteAgent(f"{BASE}/a2a/asker", generations=True, transport=transport) as agent:
            asked = await agent.send("hello")
            ended = await agent.send("end", task=asked, if_generation=asked)
    assert ended.state is TaskState.COMPLETED


async def test_what_the_page_shows_answers_a_question_at_its_generation(
    runtime: None, a2a: ChangeSettings
) -> None:
    a2a(DRAFTS=["1.1"])
    names: dict[str, Any] = {}
    exec("\n".join(named_blocks("docs/remote-agents.md")["planning.py"]), names)
    with agent_for_test(asker, slug="planner"):
        async with RemoteAgent("planner") as agent:
            asked = await agent.send("hello")
            assert await names["confirm"](asked.task_id) == "Go on?"
            task = (await agent.get(asked)).task
    assert task is not None
    assert [each.parts[0].text for each in task.history] == ["hello", "Go on?", "Yes"]


async def test_an_answer_that_says_no_generation_cannot_stand_for_one(
    runtime: None, a2a: ChangeSettings
) -> None:
    a2a(DRAFTS=["1.1"])
    with agent_for_test(asker):
        async with RemoteAgent("asker") as agent:
            answer = await agent.send("hello")
            assert answer.generation is None
            with pytest.raises(ValueError, match="generations=True"):
                await agent.cancel(answer, if_generation=answer)


async def test_nothing_is_sent_to_an_agent_that_would_ignore_generations(runtime: None) -> None:
    with agent_for_test(asker):
        async with RemoteAgent("asker") as agent:
            with pytest.raises(RemoteAgentError, match="does not know generations"):
                await agent.send("hello", if_generation=1)
            answer = await agent.send("hello")
        async with RemoteAgent("asker", generations=True) as agent:
            with pytest.raises(RemoteAgentError, match="does not know generations"):
                await agent.send("hello")
            with pytest.raises(RemoteAgentError, match="does not know generations"):
                await agent.get(answer)
        async with AsyncClient("asker") as tester:
            with pytest.raises(RuntimeError, match="DRAFTS"):
                await tester.get(answer, newer_than=1)
