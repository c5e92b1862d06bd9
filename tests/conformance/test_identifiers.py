"""Identifiers (section 3.4): who makes them, and which must fit together, by every binding."""

from typing import Any

import pytest

from a2a_app.agents import Agent, Message, Turn, registry
from a2a_app.agents.registry import make_agent
from tests.clients.json_rpc import JsonRpcClient, bad_fields
from tests.clients.ways import WAYS, Way, answers_of, code_of, task_id_of
from tests.wire import UNKNOWN_TASK, message

NOT_FOUND = (-32001, "TASK_NOT_FOUND")
INVALID = (-32602, "INVALID_PARAMS")


async def asks(turn: Turn) -> None:
    await turn.input_required("More?")


class Answers(Agent):
    """Answers without a task."""

    async def answer(self, message: Message) -> str:
        """Answer everything."""
        return "Hello."


async def sent(
    rpc: JsonRpcClient, way: Way, said: dict[str, Any], agent: str = "asks"
) -> dict[str, Any]:
    """Send a message, and return the first item of the answer."""
    with registry.registered(make_agent(asks, slug="asks"), make_agent(Answers)):
        first, *_ = await answers_of(await way.send(rpc, {"message": said}, agent=agent))
    return first


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_each_new_task_has_an_id_and_a_context_of_its_own(
    rpc: JsonRpcClient, way: Way
) -> None:
    tasks = [await sent(rpc, way, message()) for _ in range(3)]
    assert len({task_id_of(task) for task in tasks}) == 3
    assert len({task.get("task", task)["contextId"] for task in tasks}) == 3
    assert all(task.get("task", task)["contextId"] for task in tasks)


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_answer_without_a_task_names_the_context_that_was_made(
    rpc: JsonRpcClient, way: Way
) -> None:
    said = await sent(rpc, way, message(), "answers")
    said = said.get("message", said)
    assert said["contextId"]
    assert "taskId" not in said


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_context_that_a_client_names_is_kept(rpc: JsonRpcClient, way: Way) -> None:
    task = await sent(rpc, way, message(contextId="mine"))
    assert task.get("task", task)["contextId"] == "mine"


async def test_a_context_that_cannot_be_kept_is_refused_and_no_other_is_made(
    rpc: JsonRpcClient,
) -> None:
    said = message(contextId="c" * 256)
    assert bad_fields(await rpc.call("SendMessage", {"message": said})) == ["message.contextId"]
    assert (await rpc.result("ListTasks"))["totalSize"] == 0


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("task_id", [UNKNOWN_TASK, "mine"])
async def test_a_task_that_does_not_exist_is_not_made_for_a_client_that_names_it(
    rpc: JsonRpcClient, way: Way, task_id: str
) -> None:
    refused = await sent(rpc, way, message(taskId=task_id))
    assert code_of(refused)[0] in NOT_FOUND
    assert (await rpc.result("ListTasks", agent="load"))["totalSize"] == 0


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_the_context_of_a_later_message_is_its_tasks(rpc: JsonRpcClient, way: Way) -> None:
    first = await sent(rpc, WAYS[0], message())
    context_id, task_id = first["task"]["contextId"], task_id_of(first)
    for named in ({}, {"contextId": context_id}):
        task = await sent(rpc, way, message(taskId=task_id, **named))
        task = task.get("task", task)
        assert (task["id"], task["contextId"]) == (task_id, context_id)
    refused = await sent(rpc, way, message(taskId=task_id, contextId="another"))
    assert code_of(refused)[0] in INVALID
    assert "contextId" in str(refused)
