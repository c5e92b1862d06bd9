"""Sends that wait (section 3.2.2) are answered with the state that they waited for."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from a2a_app import database
from a2a_app.agents import Turn
from a2a_app.protocol import TaskState
from a2a_app.store.task_head import RunKey, read_task_head
from a2a_app.store.updates import MessageReceived, Returned
from a2a_app.store.writes.append import append
from a2a_app.testing import agent_for_test
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.operations import client_of
from tests.clients.ways import WAYS, Way, answers_of
from tests.conftest import ChangeSettings
from tests.tasks import chunk, new_message, status
from tests.wire import message

ASKING = {"TASK_STATE_INPUT_REQUIRED", "input-required"}


def ask_and_hear_more(task_id: UUID) -> None:
    """Ask for something, as the task's run does, and store what another process hears at once.

    Nobody is told, so that the one who waits sees both at once, at the next poll.
    """
    head = read_task_head(task_id)
    assert head.run_id is not None
    run = RunKey(head.run_id, 1)
    with database.atomic():
        append(head, [chunk("of the first turn", append=False, last=True)], run=run)
        append(head, [MessageReceived(new_message("second"))])
        question = status(TaskState.INPUT_REQUIRED, "What?", metadata={"of": "the first turn"})
        append(head, [question, Returned()], run=run)
        more = chunk("of the second turn", key="b", append=False)
        append(head, [status(TaskState.WORKING, "Hm…", metadata={"of": "the second"}), more])


async def interrupted(turn: Turn) -> None:
    """Have the log of the first turn written, and wait in the second."""
    if turn.text == "first":
        await database.run(ask_and_hear_more, UUID(turn.task_id))
    else:
        await asyncio.Event().wait()


@pytest.mark.parametrize("way", [way for way in WAYS if not way.streams], ids=str)
@pytest.mark.parametrize("length", [None, 0, 1])
async def test_a_send_returns_the_question_that_it_waited_for_though_the_task_has_gone_on(
    rpc: JsonRpcClient, a2a: ChangeSettings, way: Way, length: int | None
) -> None:
    a2a(POLL_SECONDS=0.05)
    params: dict[str, Any] = {"message": message("first")}
    if length is not None:
        params["configuration"] = {"historyLength": length}
    with agent_for_test(interrupted, slug="interrupted"):
        [answer] = await answers_of(await way.send(rpc, params, agent="interrupted"))
        task = answer.get("task", answer)
        newest = await rpc.result("GetTask", agent="interrupted", id=task["id"])
    assert newest["status"]["state"] == "TASK_STATE_WORKING"
    assert task["status"]["state"] in ASKING
    assert texts_of(task["status"]["message"]) == ["What?"]
    # Over HTTP+JSON of 0.3 a length of 0 means all.
    length = None if way.binding == "http-json" and way.version == "0.3" and not length else length
    said = ["first", "second"][2 - (2 if length is None else length) :]
    assert [text for each in task.get("history", []) for text in texts_of(each)] == said
    assert task["metadata"] == {"of": "the first turn"}
    assert [artifact["parts"][0]["text"] for artifact in task["artifacts"]] == ["of the first turn"]


def texts_of(said: dict[str, Any]) -> list[str]:
    return [part["text"] for part in said.get("parts") or said["content"]]


class AsksThenHangs:
    """An agent that asks in its first turn, and does not come to an end in the next."""

    async def run(self, turn: Turn) -> None:
        """Ask, or hang."""
        if turn.text == "first":
            await turn.input_required("What?")
        else:
            await turn.working("Hm…")
            await asyncio.Event().wait()


async def test_a_message_that_is_sent_again_gets_the_question_it_got_though_the_task_has_gone_on(
    rpc: JsonRpcClient,
) -> None:
    key = {"Idempotency_Key": "once"}
    with agent_for_test(AsksThenHangs().run, slug="hangs"):
        first = await rpc.call("SendMessage", {"message": message("first")}, agent="hangs", **key)
        said = message("second", taskId=first["result"]["task"]["id"])
        configuration = {"returnImmediately": True}
        await rpc.result("SendMessage", agent="hangs", message=said, configuration=configuration)
        again = await rpc.call("SendMessage", {"message": message("first")}, agent="hangs", **key)
    assert again["result"] == first["result"]


@pytest.mark.usefixtures("runtime")
async def test_a_send_returns_the_end_that_it_waited_for() -> None:
    async def asks(turn: Turn) -> None:
        if turn.text == "first":
            await turn.input_required("What?")

    with client_of(asks) as client:
        asked = await client.send("first")
        ended = await client.send(new_message("second", task_id=asked.id))
    assert (asked.status.state, ended.status.state) == (
        "TASK_STATE_INPUT_REQUIRED",
        "TASK_STATE_COMPLETED",
    )
