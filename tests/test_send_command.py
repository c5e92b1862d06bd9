"""Commands that show in a terminal what agents say."""

import asyncio
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from a2a_app import models
from a2a_app.agents import Turn
from tests.clients.operations import OperationsClient, client_of
from tests.conftest import ChangeSettings
from tests.threads import in_thread

SECONDS = 30


async def talker(turn: Turn) -> None:
    """Say some words one after the other, and something that is no text."""
    artifact = turn.open_artifact()
    for word in turn.text.split():
        await artifact.write(f"{word} ")
    await turn.artifact({"a": 1})
    await turn.complete("That is all.")


@pytest.fixture
def client(a2a: ChangeSettings, runtime: None) -> Any:
    a2a(ANONYMOUS="share")
    with client_of(talker, slug="talker") as made:
        yield made


async def told(name: str, *options: object) -> tuple[str, str]:
    """Call a command in a thread, and return what it says of texts, and of states."""
    texts, states = StringIO(), StringIO()
    called = in_thread(call_command, name, *map(str, options), stdout=texts, stderr=states)
    await asyncio.wait_for(called, SECONDS)
    return texts.getvalue(), states.getvalue()


async def test_what_an_agent_says_is_shown_apart_from_its_states(client: OperationsClient) -> None:
    texts, states = await told("a2a_send", "talker", "one two")
    assert texts == "one two \nThat is all.\n"
    task = await models.Task.objects.aget()
    assert states.splitlines() == [
        f"-- Task {task.pk}", "-- submitted", "-- parts without text: 1", "-- completed",
    ]  # fmt: skip  # as one list


async def test_a_task_is_shown_from_its_beginning_until_its_end(client: OperationsClient) -> None:
    task = await client.send("one two three")
    texts, states = await told("a2a_tail", task.id)
    assert texts == "one two three \nThat is all.\n"
    assert states.splitlines()[-1] == "-- completed"
    later, _ = await told("a2a_tail", task.id, "--after", 3)
    assert texts.endswith(later)
    assert len(later) < len(texts)


async def test_a_misspelt_agent_is_answered_by_the_one_that_was_meant(
    client: OperationsClient,
) -> None:
    with pytest.raises(CommandError, match="Did you mean 'talker'"):
        await told("a2a_send", "talkr", "hello")


@pytest.mark.parametrize("task", ["nothing", uuid4()])
async def test_a_task_that_there_is_not_is_named(client: OperationsClient, task: object) -> None:
    with pytest.raises(CommandError, match="There is no task"):
        await told("a2a_tail", task)
    with pytest.raises(CommandError, match="no event 99"):
        sent = await client.send("one")
        await told("a2a_tail", sent.id, "--after", 99)


async def test_a_message_of_nobody_is_refused_where_callers_must_be_known(
    client: OperationsClient, a2a: ChangeSettings
) -> None:
    a2a(ANONYMOUS="refuse")
    with pytest.raises(CommandError, match="Say who calls"):
        await told("a2a_send", "talker", "hello")


async def test_an_agent_of_the_directory_is_one_that_there_is(client: OperationsClient) -> None:
    url = "https://127.0.0.1"
    await models.DirectoryEntry.objects.acreate(name="harbour", url=url)
    with pytest.raises(CommandError, match="not public"):
        await told("a2a_send", "harbour", "one")
    with pytest.raises(CommandError, match="Did you mean 'harbour'"):
        await told("a2a_send", "harbor", "one")
