"""How an artifact that comes in chunks ends, so that clients keep it (section 4.2.2)."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from a2a_app import database, models
from a2a_app.agents import Part, Turn
from a2a_app.agents.content import MAX_REPEATED
from a2a_app.agents.extensions import APPEND_ONLY
from tests.clients.operations import client_of
from tests.servers import ROOT
from tests.tasks import new_message
from tests.wire import state, strict_json

pytestmark = pytest.mark.usefixtures("runtime")


def chunks(events: list[dict[str, Any]]) -> list[tuple[str, bool, bool]]:
    """Return each chunk: its text, whether it is appended, and whether it is the last."""
    updates = [event["artifactUpdate"] for event in events if "artifactUpdate" in event]
    return [
        (
            "|".join(part.get("text", "-") for part in update["artifact"]["parts"]),
            update.get("append", False),
            update.get("lastChunk", False),
        )
        for update in updates
    ]


async def async_words(turn: Turn) -> AsyncIterator[str]:
    for word in ("Lisbon ", "is ", "lovely."):
        yield word


def words(turn: Turn) -> Iterator[str]:
    yield from ("Lisbon ", "is ", "lovely.")


async def opened(turn: Turn) -> None:
    artifact = turn.open_artifact()
    for word in ("Lisbon ", "is ", "lovely."):
        await artifact.write(word)


async def completed(turn: Turn) -> AsyncIterator[str]:
    for word in ("Lisbon ", "is ", "lovely."):
        yield word
    await turn.complete("Have a good trip!")


LAST = ("Lisbon is lovely.", False, True)


@pytest.mark.parametrize("agent", [async_words, words, opened, completed])
async def test_a_last_chunk_repeats_the_artifact_in_the_commit_that_ends_the_task(
    agent: Any,
) -> None:
    with client_of(agent) as client:
        events = await client.stream()
        read = await client.get(events[0]["task"]["id"])
    first, *others = chunks(events)
    assert first == ("Lisbon ", False, False)
    assert others == [("is ", True, False), ("lovely.", True, False), LAST]
    assert state(events[-1]) == "COMPLETED"
    assert [[part.text for part in each.parts] for each in read.artifacts] == [[LAST[0]]]
    logged = await database.run(lambda: list(models.Event.objects.order_by("seq")))
    assert [event.seq for event in logged] == list(range(1, len(events) + 1))
    assert logged[-1].created_at == logged[-2].created_at


async def test_an_agent_may_say_that_nothing_is_repeated() -> None:
    with client_of(async_words, repeats_artifacts=False) as client:
        events = await client.stream()
        read = await client.get(events[0]["task"]["id"])
    assert [last for _, _, last in chunks(events)] == [False] * 3
    assert [part.text for part in read.artifacts[0].parts] == ["Lisbon is lovely."]


async def test_the_artifact_keeps_its_name_and_the_order_of_its_parts() -> None:
    async def report(turn: Turn) -> None:
        table = turn.open_artifact(name="table", metadata={"rows": 2})
        for content in ("a", "b", {"n": 1}, "c", Part(text="d", media_type="text/html"), "e"):
            await table.write(content)
        await table.close()
        await table.close()  # no more is said

    with client_of(report) as client:
        events = await client.stream()
        [artifact] = (await client.get(events[0]["task"]["id"])).artifacts
    assert chunks(events)[6:] == [("ab|-|c|d|e", False, True)]
    assert (artifact.name, artifact.metadata) == ("table", {"rows": 2})
    assert [part.text for part in artifact.parts] == ["ab", None, "c", "d", "e"]
    assert artifact.parts[1].data == {"n": 1}


@pytest.mark.parametrize(
    "content", ["x" * (MAX_REPEATED // 2 + 1), Part(raw=b"12", filename="f")], ids=["long", "bytes"]
)
async def test_what_is_long_or_has_bytes_is_not_repeated(content: Any) -> None:
    async def agent(turn: Turn) -> AsyncIterator[Any]:
        yield content
        yield content

    with client_of(agent) as client:
        events = await client.stream()
        [artifact] = (await client.get(events[0]["task"]["id"])).artifacts
    assert [last for _, _, last in chunks(events)] == [False, False]
    whole = [content * 2] if isinstance(content, str) else [None, None]
    assert [part.text for part in artifact.parts] == whole


async def test_an_artifact_that_was_broken_off_has_no_last_chunk() -> None:
    async def raises(turn: Turn) -> AsyncIterator[str]:
        yield "Lisbon "
        raise RuntimeError

    async def fails(turn: Turn) -> AsyncIterator[str]:
        yield "Lisbon "
        await turn.fail("No more.")

    for agent in (raises, fails):
        with client_of(agent) as client:
            events = await client.stream()
        assert chunks(events) == [("Lisbon ", False, False)]
        assert state(events[-1]) == "FAILED"


async def test_a_question_ends_what_was_yielded_before_it() -> None:
    may_end = asyncio.Event()

    async def asks(turn: Turn) -> AsyncIterator[str]:
        yield f"Turn {turn.number}, "
        yield "begun. "
        if turn.number == 1:
            await turn.input_required("Where to?")
        else:
            await turn.auth_required("May I?")
            await may_end.wait()
            yield "I may."

    with client_of(asks) as client:
        events = await client.stream()
        assert chunks(events)[2:] == [("Turn 1, begun. ", False, True)]
        assert state(events[-1]) == "INPUT_REQUIRED"
        task_id = events[0]["task"]["id"]
        answer = new_message("Lisbon", task_id=task_id)
        await client.send(answer, return_immediately=True)
        following = client.subscribe(task_id)
        await anext(following)
        may_end.set()
        async for event in following:
            if chunks([event]) == [("I may.", False, False)]:
                break
        texts = [
            [part.text for part in each.parts] for each in (await client.get(task_id)).artifacts
        ]
    assert texts == [["Turn 1, begun. "], ["Turn 2, begun. "], ["I may."]]


@pytest.mark.parametrize("agent", [async_words, words, opened])
async def test_a_client_that_names_the_extension_gets_nothing_twice(agent: Any) -> None:
    with client_of(agent) as client:
        client.call = replace(client.call, extensions=(APPEND_ONLY.uri,))
        events = await client.stream()
    assert [text for text, _, _ in chunks(events)] == ["Lisbon ", "is ", "lovely."]
    assert state(events[-1]) == "COMPLETED"


def test_the_page_of_the_extension_says_what_the_card_does() -> None:
    page = (ROOT / "docs" / "extensions" / "append-only.md").read_text()
    [declared] = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert strict_json(declared) == APPEND_ONLY.to_dict()
