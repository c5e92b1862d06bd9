"""Agents of Pydantic AI behind ours, with the models that Pydantic AI has for tests."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    BinaryContent,
    DeferredToolRequests,
    ModelMessage,
    RunContext,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

from a2a_app import database, models
from a2a_app.agents import Message, Part, Role, Turn
from a2a_app.contrib.exchange import TOOLS
from a2a_app.contrib.pydantic_ai import PydanticAIAgent
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of
from tests.contrib.conversations import answer, cancel_once_begun, data_of, texts_of, tokens_of
from tests.wire import state, text

pytestmark = pytest.mark.usefixtures("runtime")


class Weather(BaseModel):
    city: str
    degrees: int


def prompts(messages: list[ModelMessage]) -> list[Any]:
    """Return what users have said."""
    return [
        part.content
        for message in messages
        for part in message.parts
        if part.part_kind == "user-prompt"
    ]


def saying(*pieces: str) -> FunctionModel:
    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    return FunctionModel(stream_function=stream)


async def test_text_comes_in_the_pieces_of_the_model_and_usage_with_the_end() -> None:
    agent = PydanticAIAgent(Agent(saying("It ", "is ", "3 °C."), name="weather"))
    with client_of(agent) as client:
        events = await client.stream("How cold?")
        task = await client.get(events[0]["task"]["id"])
    assert [text(each) for each in events if text(each)][:3] == ["It ", "is ", "3 °C."]
    assert state(events[-1]) == "COMPLETED"
    assert texts_of(task) == {"answer": ["It is 3 °C."]}
    [(model, (read, written))] = tokens_of(task).items()
    assert model.startswith("function") and read > 0 and written > 0


async def test_output_of_a_type_is_data_and_its_text_is_not_said() -> None:
    model = TestModel(custom_output_args={"city": "Oslo", "degrees": 3})
    with client_of(PydanticAIAgent(Agent(model, output_type=Weather, name="typed"))) as client:
        task = await client.send()
    assert data_of(task) == {"result": [{"city": "Oslo", "degrees": 3}]}
    assert texts_of(task) == {"result": []}


@pytest.mark.parametrize("tools", ["data", "metadata", None])
async def test_tools_are_seen_as_the_project_wants(tools: Any) -> None:
    inner = Agent(TestModel(custom_output_text="cold"), name="tooled")

    @inner.tool_plain
    def degrees(city: str) -> dict[str, int]:
        return {city: 3}

    with client_of(PydanticAIAgent(inner, tools=tools)) as client:
        events = await client.stream()
        task = await client.get(events[0]["task"]["id"])
    called = {"name": "degrees", "arguments": {"city": "a"}}
    returned = {"name": "degrees", "value": {"a": 3}}
    as_metadata = [
        each["statusUpdate"]["metadata"][TOOLS]
        for each in events
        if TOOLS in each.get("statusUpdate", {}).get("metadata", {})
    ]
    as_data = data_of(task).get("tools", [])
    told = as_metadata if tools == "metadata" else as_data
    assert (as_data == []) == (tools != "data") and (as_metadata == []) == (tools != "metadata")
    if tools:
        assert [{**each["call"], "id": ""} for each in told[:1]] == [{**called, "id": ""}]
        assert [{**each["result"], "id": ""} for each in told[1:]] == [{**returned, "id": ""}]
    assert texts_of(task)["answer"] == ["cold"]


async def test_it_remembers_the_conversation_and_only_where_it_shall() -> None:
    seen: list[list[Any]] = []

    async def listen(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.append(prompts(messages))
        yield "noted"

    inner = Agent(FunctionModel(stream_function=listen), name="listener")
    for remembers in (True, False):
        with client_of(PydanticAIAgent(inner, remembers=remembers)) as client:
            first = await client.send("one")
            await client.send(answer(first, "two", task_too=False))
    assert seen == [[["one"]], [["one"], ["two"]], [["one"]], [["two"]]]


async def test_files_go_in_and_out_and_stored_ones_are_remembered_by_their_names() -> None:
    seen: list[list[Any]] = []

    async def look(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.append(prompts(messages))
        yield "seen"

    def draw(size: int) -> BinaryContent:
        return BinaryContent(b"drawn", media_type="image/png")

    content = bytes(range(256)) * 1024
    image = Part(raw=content, media_type="image/jpeg", filename="photo.jpg")
    with client_of(
        PydanticAIAgent(Agent(FunctionModel(stream_function=look), name="looking")),
        input_modes=("text/plain", "image/*"),
    ) as client:
        first = await client.send(
            Message(message_id=str(uuid4()), role=Role.USER, parts=[Part(text="See"), image])
        )
        await client.send(answer(first, "And again?", task_too=False))
    assert first.status.state is TaskState.COMPLETED
    for said in (seen[0], seen[1]):
        assert (said[0][0], said[0][1].data, said[0][1].media_type) == (
            "See",
            content,
            "image/jpeg",
        )
    assert seen[1][1:] == [["And again?"]]
    state = (await database.run(models.Context.objects.get)).state
    assert len(str(state)) < 10_000
    drawing = Agent(TestModel(), output_type=draw, name="drawing")
    with client_of(PydanticAIAgent(drawing)) as client:
        [artifact] = (await client.send()).artifacts
    assert (artifact.parts[0].raw, artifact.parts[0].media_type) == (b"drawn", "image/png")


@pytest.mark.parametrize(
    ("said", "result"),
    [("Yes.", "deleted"), ({"approved": True}, "deleted"), ("never", "denied"), ({}, "denied")],
    ids=str,
)
async def test_a_tool_that_needs_approval_asks_the_client(said: Any, result: str) -> None:
    async def decide(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        returned = [part for part in messages[-1].parts if part.part_kind == "tool-return"]
        if returned:
            yield "deleted" if returned[0].content == "gone" else "denied"
        else:
            yield {0: DeltaToolCall("delete", '{"path": "a.txt"}', tool_call_id="c1")}

    inner = Agent(
        FunctionModel(stream_function=decide),
        output_type=[str, DeferredToolRequests],
        name="careful",
    )

    @inner.tool_plain(requires_approval=True)
    def delete(path: str) -> str:
        return "gone"

    # The question is remembered in any case.
    with client_of(PydanticAIAgent(inner, remembers=said != "Yes.")) as client:
        asked = await client.send("Delete a.txt")
        assert asked.status.state is TaskState.INPUT_REQUIRED
        assert asked.status.message is not None
        question, data = asked.status.message.parts
        assert question.text == "May I call delete with {'path': 'a.txt'}?"
        wanted = {"id": "c1", "name": "delete", "arguments": {"path": "a.txt"}}
        assert data.data == {"approve": [wanted]}
        task = await client.send(answer(asked, said))
    assert task.status.state is TaskState.COMPLETED
    assert texts_of(task)["answer"] == [result]


async def test_another_task_is_no_answer_and_refuses_what_waits() -> None:
    seen: list[list[Any]] = []

    async def decide(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        seen.append(prompts(messages))
        if len(seen) == 1:
            yield {0: DeltaToolCall("delete", "{}", tool_call_id="c1")}
        else:
            yield "nothing deleted"

    output = [str, DeferredToolRequests]
    inner = Agent(FunctionModel(stream_function=decide), output_type=output, name="careful")

    @inner.tool_plain(requires_approval=True)
    def delete() -> str:
        raise AssertionError

    with client_of(PydanticAIAgent(inner)) as client:
        asked = await client.send("Delete it")
        task = await client.send(answer(asked, "yes", task_too=False))
    assert (task.status.state, texts_of(task)["answer"]) == (
        TaskState.COMPLETED,
        ["nothing deleted"],
    )
    assert seen[-1] == [["Delete it"], ["yes"]]


async def test_the_run_has_what_the_project_makes_of_the_turn() -> None:
    inner = Agent(TestModel(call_tools=["who"]), deps_type=str, name="knowing")

    @inner.tool
    def who(context: RunContext[str]) -> str:
        return context.deps

    async def deps(turn: Turn) -> str:
        return f"{turn.caller.name}, {turn.text}"

    with client_of(PydanticAIAgent(inner, deps=deps)) as client:
        task = await client.send("hello")
    assert texts_of(task) == {"answer": ['{"who":", hello"}']}


async def test_a_cancelled_task_stops_the_run() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def hang(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "first "
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        yield "never"

    inner = Agent(FunctionModel(stream_function=hang), name="hanging")
    with client_of(PydanticAIAgent(inner)) as client:
        task = await cancel_once_begun(client, begun)
        async with asyncio.timeout(20):
            await stopped.wait()
    assert task.status.state is TaskState.CANCELED


async def test_an_error_of_the_run_fails_the_task_and_what_it_has_used_counts() -> None:
    inner = Agent(TestModel(), name="failing")

    @inner.tool_plain
    def fail() -> str:
        raise RuntimeError("the secret")

    with client_of(PydanticAIAgent(inner)) as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    assert "secret" not in str(task.to_dict())
    assert tokens_of(task)["test"][0] > 0
