"""Agents of Google's kit behind ours. test_adk.py runs this where the kit is installed."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import pytest
from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.sessions import InMemorySessionService
from google.adk.tools import FunctionTool, LongRunningFunctionTool
from google.genai import types
from pydantic import BaseModel, PrivateAttr

from a2a_app import database, models
from a2a_app.agents import Message, Part, Role
from a2a_app.contrib.adk import ADKAgent
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of
from tests.contrib.conversations import answer, cancel_once_begun, data_of, texts_of, tokens_of
from tests.wire import text

pytestmark = [
    pytest.mark.usefixtures("runtime"),
    pytest.mark.filterwarnings("ignore::UserWarning:google"),
]


class Weather(BaseModel):
    city: str
    degrees: int


class ScriptedLlm(BaseLlm):
    """Answers each request by the next list of parts; a text comes word by word before."""

    _script: list[Any] = PrivateAttr(default_factory=list)
    _requests: list[LlmRequest] = PrivateAttr(default_factory=list)

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        self._requests.append(llm_request.model_copy(deep=True))
        part = self._script.pop(0)
        if callable(part):
            part = await part()
        if part.text and stream:
            for word in part.text.split(" "):
                yield LlmResponse(content=content_of(types.Part(text=f"{word} ")), partial=True)
        used = types.GenerateContentResponseUsageMetadata(
            prompt_token_count=7, candidates_token_count=3
        )
        yield LlmResponse(content=content_of(part), usage_metadata=used)


def content_of(part: types.Part) -> types.Content:
    return types.Content(role="model", parts=[part])


def says(said: str) -> types.Part:
    return types.Part(text=said)


def calls(name: str, **arguments: Any) -> types.Part:
    return types.Part(function_call=types.FunctionCall(id="c1", name=name, args=arguments))


def agent_of(*script: Any, **more: Any) -> tuple[LlmAgent, list[LlmRequest]]:
    model = ScriptedLlm(model="scripted")
    model._script.extend(script)
    return LlmAgent(name="weather", model=model, **more), model._requests


async def test_text_is_streamed_once_and_usage_recorded() -> None:
    inner, _ = agent_of(says("It is cold."))
    with client_of(ADKAgent(inner)) as client:
        events = await client.stream("How cold?")
        task = await client.get(events[0]["task"]["id"])
    assert [text(each) for each in events if text(each)][:3] == ["It ", "is ", "cold. "]
    assert texts_of(task) == {"answer": ["It is cold. "]}
    assert tokens_of(task) == {"scripted": (7, 3)}


async def test_text_that_has_a_schema_is_data() -> None:
    inner, _ = agent_of(says('{"city": "Oslo", "degrees": 3}'), output_schema=Weather)
    with client_of(ADKAgent(inner)) as client:
        task = await client.send()
    assert data_of(task) == {"result": [{"city": "Oslo", "degrees": 3}]}
    assert texts_of(task) == {"result": []}


async def test_tools_are_data() -> None:
    def degrees(city: str) -> dict[str, Any]:
        """Say how cold it is."""
        return {city: 3}

    inner, _ = agent_of(calls("degrees", city="Oslo"), says("cold"), tools=[degrees])
    with client_of(ADKAgent(inner, tools="data")) as client:
        task = await client.send()
    called, returned = data_of(task)["tools"]
    assert {**called["call"], "id": ""} == {
        "id": "",
        "name": "degrees",
        "arguments": {"city": "Oslo"},
    }
    assert returned["result"]["value"] == {"Oslo": 3}


@pytest.mark.parametrize("has_service", [False, True])
async def test_it_remembers_the_conversation_with_its_files(has_service: bool) -> None:
    content = bytes(range(256)) * 1024
    image = Part(raw=content, media_type="image/jpeg")
    inner, requests = agent_of(says("photo"), says("same"))
    service = InMemorySessionService() if has_service else None
    agent = ADKAgent(inner, session_service=service)
    with client_of(agent, input_modes=("text/plain", "image/*")) as client:
        first = await client.send(
            Message(message_id=str(uuid4()), role=Role.USER, parts=[Part(text="See"), image])
        )
        await client.send(answer(first, "And again?", task_too=False))
    [see, photo], *rest = [each.parts for each in requests[1].contents]
    assert see.text == "See" and photo.inline_data.data == content
    assert [part.text for parts in rest for part in parts] == ["photo", "And again?"]
    state = (await database.run(models.Context.objects.get)).state
    assert len(str(state)) < 10_000


async def test_a_tool_that_runs_long_asks_the_client_and_gets_the_answer() -> None:
    def order(thing: str) -> dict[str, Any]:
        """Order something, which somebody has to confirm."""
        return {"status": "pending"}

    tool = LongRunningFunctionTool(order)
    inner, requests = agent_of(
        calls("order", thing="tea"), says("I have asked."), says("Ordered."), tools=[tool]
    )
    with client_of(ADKAgent(inner)) as client:
        asked = await client.send("Tea, please")
        assert asked.status.state is TaskState.INPUT_REQUIRED
        assert asked.status.message is not None
        [wanted] = asked.status.message.parts[0].data["calls"]
        assert (wanted["name"], wanted["arguments"]) == ("order", {"thing": "tea"})
        done = await client.send(answer(asked, {"status": "approved"}))
    assert done.status.state is TaskState.COMPLETED
    responses = [
        part.function_response.response
        for content in requests[-1].contents
        for part in content.parts
        if part.function_response
    ]
    assert responses[-1] == {"status": "approved"}


@pytest.mark.parametrize(("said", "deleted"), [("yes", ["a.txt"]), ({"approved": False}, [])])
async def test_a_tool_that_wants_a_confirmation_asks_the_client(
    said: Any, deleted: list[str]
) -> None:
    found: list[str] = []

    def delete(path: str) -> str:
        """Delete a file."""
        found.append(path)
        return "gone"

    tool = FunctionTool(delete, require_confirmation=True)
    inner, _ = agent_of(
        calls("delete", path="a.txt"), says("asked"), says("done"), says("done"), tools=[tool]
    )
    with client_of(ADKAgent(inner)) as client:
        asked = await client.send("Delete a.txt")
        assert asked.status.state is TaskState.INPUT_REQUIRED
        assert asked.status.message is not None
        [wanted] = asked.status.message.parts[1].data["approve"]
        assert (wanted["name"], wanted["arguments"]) == ("delete", {"path": "a.txt"})
        task = await client.send(answer(asked, said))
    assert task.status.state is TaskState.COMPLETED
    assert found == deleted


async def test_a_cancelled_task_stops_the_run() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def hang() -> types.Part:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return says("never")

    inner, _ = agent_of(hang)
    with client_of(ADKAgent(inner)) as client:
        task = await cancel_once_begun(client, begun)
        async with asyncio.timeout(20):
            await stopped.wait()
    assert task.status.state is TaskState.CANCELED


async def test_an_error_of_the_run_fails_the_task() -> None:
    async def fail() -> types.Part:
        raise RuntimeError("the secret")

    inner, _ = agent_of(fail)
    with client_of(ADKAgent(inner)) as client:
        task = await client.send()
    assert task.status.state is TaskState.FAILED
    assert "secret" not in str(task.to_dict())
