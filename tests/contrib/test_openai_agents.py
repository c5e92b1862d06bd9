"""Agents of the OpenAI Agents SDK behind ours, with the model that the SDK has for tests."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    RunContextWrapper,
    Usage,
    function_tool,
    input_guardrail,
    output_guardrail,
    set_tracing_disabled,
)
from agents.testing import ModelCall, ModelStep, ScriptedModel, assistant_message, function_call
from pydantic import BaseModel

from a2a_app import database, models
from a2a_app.agents import Message, Part, Role, Turn
from a2a_app.contrib.openai_agents import OpenAIAgentsAgent
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of
from tests.contrib.conversations import answer, cancel_once_begun, data_of, texts_of, tokens_of
from tests.wire import text

pytestmark = pytest.mark.usefixtures("runtime")
set_tracing_disabled(True)

USED = Usage(requests=1, input_tokens=7, output_tokens=3, total_tokens=10)


class Weather(BaseModel):
    city: str
    degrees: int


def says(said: str) -> ModelStep:
    return ModelStep(output=[assistant_message(said)], usage=USED)


def calls(name: str, arguments: str) -> ModelStep:
    return ModelStep(output=[function_call(name, arguments, call_id="c1")], usage=USED)


def agent_of(*steps: Any, **more: Any) -> Agent[Any]:
    return Agent(name="weather", model=ScriptedModel(steps), **more)


async def test_text_is_streamed_and_usage_recorded() -> None:
    with client_of(OpenAIAgentsAgent(agent_of(says("It is cold.")))) as client:
        events = await client.stream("How cold?")
        task = await client.get(events[0]["task"]["id"])
    assert next(text(each) for each in events if text(each)) == "It is cold."
    assert texts_of(task) == {"answer": ["It is cold."]}
    assert tokens_of(task) == {"ScriptedModel": (7, 3)}


async def test_output_of_a_type_is_data_and_its_text_is_not_said() -> None:
    inner = agent_of(says('{"city": "Oslo", "degrees": 3}'), output_type=Weather)
    with client_of(OpenAIAgentsAgent(inner)) as client:
        task = await client.send()
    assert data_of(task) == {"result": [{"city": "Oslo", "degrees": 3}]}
    assert texts_of(task) == {"result": []}


async def test_tools_are_data_and_know_the_context_that_the_project_makes() -> None:
    @function_tool
    def degrees(context: RunContextWrapper[str], city: str) -> str:
        return f"3 in {city} for {context.context}"

    inner = agent_of(calls("degrees", '{"city": "Oslo"}'), says("cold"), tools=[degrees])

    async def context(turn: Turn) -> str:
        return turn.text

    agent = OpenAIAgentsAgent(inner, tools="data", context=context, max_turns=2)
    with client_of(agent) as client:
        task = await client.send("Ann")
    assert data_of(task)["tools"] == [
        {"call": {"id": "c1", "name": "degrees", "arguments": {"city": "Oslo"}}},
        {"result": {"id": "c1", "name": "degrees", "value": "3 in Oslo for Ann"}},
    ]
    assert texts_of(task)["answer"] == ["cold"]


async def test_it_remembers_the_conversation_with_its_files() -> None:
    content = bytes(range(256)) * 1024
    image = Part(raw=content, media_type="image/jpeg")
    inner = agent_of(says("a photo"), says("the same"))
    with client_of(OpenAIAgentsAgent(inner), input_modes=("text/plain", "image/*")) as client:
        first = await client.send(
            Message(message_id=str(uuid4()), role=Role.USER, parts=[Part(text="See"), image])
        )
        await client.send(answer(first, "And again?", task_too=False))
    assert isinstance(inner.model, ScriptedModel)
    first_call, second_call = inner.model.calls
    [seen] = first_call.input
    assert [each["type"] for each in seen["content"]] == ["input_text", "input_image"]
    assert second_call.input[0] == seen
    assert second_call.input[1]["content"][0]["text"] == "a photo"
    assert second_call.input[2]["content"] == "And again?"
    state = (await database.run(models.Context.objects.get)).state
    assert len(str(state)) < 10_000


@pytest.mark.parametrize(("said", "deleted"), [("yes", ["a.txt"]), ({"approved": False}, [])])
async def test_a_tool_that_needs_approval_asks_the_client(said: Any, deleted: list[str]) -> None:
    found: list[str] = []

    @function_tool(needs_approval=True)
    def delete(path: str) -> str:
        found.append(path)
        return "gone"

    inner = agent_of(calls("delete", '{"path": "a.txt"}'), says("done"), tools=[delete])
    with client_of(OpenAIAgentsAgent(inner)) as client:
        asked = await client.send("Delete a.txt")
        assert asked.status.state is TaskState.INPUT_REQUIRED
        assert asked.status.message is not None
        wanted = {"id": "c1", "name": "delete", "arguments": {"path": "a.txt"}}
        assert asked.status.message.parts[1].data == {"approve": [wanted]}
        task = await client.send(answer(asked, said))
    assert (task.status.state, texts_of(task)["answer"]) == (TaskState.COMPLETED, ["done"])
    assert found == deleted
    assert tokens_of(asked) == {"ScriptedModel": (7, 3)}
    assert tokens_of(task) == {"ScriptedModel": (14, 6)}


async def test_another_task_is_no_answer_and_leaves_what_waits() -> None:
    @function_tool(needs_approval=True)
    def delete() -> str:
        raise AssertionError

    inner = agent_of(calls("delete", "{}"), says("nothing deleted"), tools=[delete])
    with client_of(OpenAIAgentsAgent(inner)) as client:
        asked = await client.send("Delete it")
        task = await client.send(answer(asked, "yes", task_too=False))
    assert texts_of(task)["answer"] == ["nothing deleted"]
    assert isinstance(inner.model, ScriptedModel)
    assert [each["content"] for each in inner.model.calls[-1].input] == ["yes"]


async def test_guardrails_reject_the_message_or_fail_the_answer() -> None:
    @input_guardrail
    def polite(context: Any, agent: Any, said: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(None, tripwire_triggered="rude" in str(said))

    @output_guardrail
    def discreet(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(None, tripwire_triggered=True)

    inner = agent_of(
        says("never"), says("never"), input_guardrails=[polite], output_guardrails=[discreet]
    )
    with client_of(OpenAIAgentsAgent(inner)) as client:
        rude = await client.send("rude")
        withheld = await client.send("hello")
    assert rude.status.state is TaskState.REJECTED
    assert rude.status.message and "polite" in rude.status.message.text
    assert withheld.status.state is TaskState.FAILED
    assert withheld.status.message and "discreet" in withheld.status.message.text


async def test_a_cancelled_task_stops_the_run() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def hang(call: ModelCall) -> ModelStep:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return says("never")

    with client_of(OpenAIAgentsAgent(agent_of(ModelStep.respond(hang)))) as client:
        task = await cancel_once_begun(client, begun)
        async with asyncio.timeout(20):
            await stopped.wait()
    assert task.status.state is TaskState.CANCELED


async def test_an_error_of_the_run_fails_the_task_and_what_was_used_counts() -> None:
    @function_tool(failure_error_function=None)
    def fail() -> str:
        raise RuntimeError("the secret")

    inner = agent_of(calls("fail", "{}"), tools=[fail])
    with client_of(OpenAIAgentsAgent(inner)) as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    assert "secret" not in str(task.to_dict())
    assert tokens_of(task) == {"ScriptedModel": (7, 3)}
