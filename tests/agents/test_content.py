"""An artifact that grows: what its chunks say, and what an agent may not write."""

import asyncio
from collections.abc import Awaitable

import pytest
from pydantic import ValidationError

from a2a_app.agents.content import ArtifactWriter, agent_message
from a2a_app.protocol import Artifact, Message, Part, Role
from a2a_app.store.updates import ArtifactUpdate


class Written(list[ArtifactUpdate]):
    """Takes updates, as a run's writer does."""

    def put(self, update: ArtifactUpdate) -> Awaitable[None]:
        self.append(update)
        return asyncio.sleep(0)


async def test_the_name_of_an_artifact_goes_with_its_first_chunk_only() -> None:
    written = Written()
    writer = ArtifactWriter(written.put, "a", {"name": "A", "metadata": {"n": 1}})
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
    writer = ArtifactWriter(written.put, "a", {})
    for _ in range(2):  # as the first chunk, and as a later one
        for bad in ((), ("\0",), ("\ud800",), ({"a": object()},), (7,)):
            with pytest.raises((ValidationError, TypeError)):
                writer.write(*bad)  # what an agent may give all the same
        await writer.write("good")
    assert [it.append for it in written] == [False, True]


def test_a_text_of_an_agent_becomes_a_message_of_its_own() -> None:
    said = agent_message("hello", context_id="c", task_id="t")
    checked = Message(
        message_id=said.message_id,
        context_id="c",
        task_id="t",
        role=Role.AGENT,
        parts=[Part(text="hello")],
    )
    assert said == checked
    assert said.to_json() == checked.to_json()
    with pytest.raises(ValidationError):
        agent_message("\0", context_id="c")
