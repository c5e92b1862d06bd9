"""What an agent says and remembers is stored alike by every database, or its error is clear."""

import math
from typing import Any

import pytest

from a2a_app import database, models
from a2a_app.agents import Part, Turn
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")


async def says_what_cannot_be_stored(turn: Turn) -> None:
    turn.context.state["page"] = "a\0b"
    await turn.working("half \ud83d of a pair", metadata={"score": math.nan})
    await turn.artifact("page\0one", name="scan\0", metadata={"limit": math.inf})
    await turn.input_required({"rate": math.nan})


async def test_a_task_goes_on_with_what_a_database_stores_of_an_agents_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with client_of(says_what_cannot_be_stored) as client:
        task = await client.send("go")
        assert task.status.state is TaskState.INPUT_REQUIRED
        assert task.status.message is not None
        assert task.status.message.parts == [Part(data={"rate": None})]
        [artifact] = task.artifacts
        assert artifact.name == "scan\ufffd"
        assert (artifact.parts[0].text, artifact.metadata) == ("page\ufffdone", {"limit": None})
        assert task.history[-1].text == "half \ufffd of a pair"
        assert task.metadata["score"] is None
        context = await database.run(models.Context.objects.get)
    assert context.state == {"page": "a\ufffdb"}
    [line] = [record for record in caplog.records if "cannot be stored" in record.message]
    assert task.id in line.getMessage()


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), (1, 1.0), (None, 0)])
async def test_a_state_that_changes_only_its_type_is_saved(before: Any, after: Any) -> None:
    async def counts(turn: Turn) -> None:
        turn.context.state["value"] = before if turn.number == 1 else after
        await turn.input_required("More?")

    with client_of(counts) as client:
        task = await client.send("one")
        await client.send(new_message("two", task_id=task.id))
        context = await database.run(models.Context.objects.get)
    assert type(context.state["value"]) is type(after)


async def test_a_state_that_is_no_json_fails_the_task_and_the_log_says_what_is_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def gathers(turn: Turn) -> None:
        turn.context.state["seen"] = {turn.text}

    with client_of(gathers) as client:
        task = await client.send("one")
    assert task.status.state is TaskState.FAILED
    assert "turn.context.state must be JSON, not set" in caplog.text
