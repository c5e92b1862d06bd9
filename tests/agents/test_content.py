"""An artifact that grows: what its chunks say, and what an agent may not write."""

import asyncio
import math
from collections.abc import Awaitable
from typing import Any

import pytest
from pydantic import ValidationError

from a2a_app.agents.content import ArtifactWriter, agent_message, clean
from a2a_app.protocol import Artifact, Message, Part, Role
from a2a_app.store.updates import ArtifactUpdate


class Written(list[ArtifactUpdate]):
    """Takes updates, as a run's writer does."""

    def put(self, update: ArtifactUpdate) -> Awaitable[None]:
        self.append(update)
        return asyncio.sleep(0)


def unreported() -> None:
    raise AssertionError("Nothing had to be replaced.")


async def test_the_name_of_an_artifact_goes_with_its_first_chunk_only() -> None:
    written = Written()
    writer = ArtifactWriter(written.put, "a", {"name": "A", "metadata": {"n": 1}}, unreported)
    await writer.write("one")
    await writer.write("two", {"three": 3})
    await writer.write(Part(url="u"), last=True)
    first, second, third = written
    assert first.artifact == Artifact(
        artifact_id="a", name="A", metadata={"n": 1}, parts=[Part(text="one")]
    )
    parts = [Part(text="two"), Part(data={"three": 3})]
    assert second.artifact == Artifact(artifact_id="a", parts=parts)
    assert second.artifact.to_json() == Artifact(artifact_id="a", parts=parts).to_json()
    assert third.artifact == Artifact(artifact_id="a", parts=[Part(url="u")])
    assert [(it.append, it.last_chunk) for it in written] == [
        (False, False), (True, False), (True, True),
    ]  # fmt: skip  # one pair a chunk


async def test_a_chunk_that_cannot_be_stored_is_refused_where_it_is_written() -> None:
    written = Written()
    writer = ArtifactWriter(written.put, "a", {}, unreported)
    for _ in range(2):  # as the first chunk, and as a later one
        for bad in ((), ({"a": object()},), (None,)):
            with pytest.raises((ValidationError, TypeError)):
                writer.write(*bad)  # what an agent may give all the same
        await writer.write("good")
    assert [it.append for it in written] == [False, True]


def test_a_text_of_an_agent_becomes_a_message_of_its_own() -> None:
    said = agent_message("hello", context_id="c", task_id="t")
    assert said is not None
    checked = Message(
        message_id=said.message_id,
        context_id="c",
        task_id="t",
        role=Role.AGENT,
        parts=[Part(text="hello")],
    )
    assert said == checked
    assert said.to_json() == checked.to_json()


REPLACED = [
    ("a\0b", "a\ufffdb"),
    ("half \ud83d of a pair", "half \ufffd of a pair"),
    ({"n": [math.nan, {"i": -math.inf}, 10**400]}, {"n": [None, {"i": None}, None]}),
    (
        {"key\0": ["\udc00", "whole \N{PILE OF POO}"]},
        {"key\ufffd": ["\ufffd", "whole \N{PILE OF POO}"]},
    ),
]


@pytest.mark.parametrize(("said", "stored"), REPLACED)
async def test_what_no_database_stores_is_replaced_in_what_an_agent_says(
    said: Any, stored: Any
) -> None:
    written, reports = Written(), []
    writer = ArtifactWriter(written.put, "a", {}, lambda: reports.append(said))
    await writer.write(said)
    part = Part(text=stored) if isinstance(stored, str) else Part(data=stored)
    assert written[0].artifact.parts == [part]
    assert len(reports) == 1
    message = agent_message(said, context_id="c", report=lambda: reports.append(said))
    assert message is not None
    assert message.parts == [part]
    assert len(reports) == 2
    Message.from_dict(message.to_dict())


@pytest.mark.parametrize(
    "said", ["", "plain", "\N{PILE OF POO}", {"a": [1, True, None, 1.5, "x"]}, {}]
)
def test_what_every_database_stores_is_left_as_it_is(said: Any) -> None:
    assert clean(said, unreported) is said
