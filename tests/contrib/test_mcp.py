"""Agents as tools of an MCP server, called by the official client over a real server."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from django.test import Client as WSGIClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from a2a_app.mcp.outcome import Outcome
from a2a_app.protocol import Message, Part, Role, StreamResponse, TaskState
from tests.servers import Process, fresh_database, web_server

SECONDS = 60
VERSIONS = ("auto", "legacy")


@pytest.fixture(scope="module")
def site() -> Iterator[Process]:
    """Serve the project with an MCP server, for known callers only."""
    with fresh_database("sqlite") as url:
        process = web_server(
            "daphne",
            database_url=url,
            settings_module="tests.contrib.mcp_settings",
            ANONYMOUS="refuse",
            AUTHENTICATION=["tests.bindings.users.by_name"],
        )
        process.start()
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def connected(site: Process, mode: str = "auto", name: str = "ann") -> AsyncIterator[Client]:
    """Connect the official client in the name of a caller, in one of the protocol's two eras."""
    async with (
        asyncio.timeout(SECONDS),
        httpx2.AsyncClient(headers={"X-User": name}, timeout=SECONDS) as http,
        Client(streamable_http_client(f"{site.url}/mcp/", http_client=http), mode=mode) as client,
    ):
        yield client


async def ask(site: Process, method: str, **params: Any) -> Any:
    """Ask the API about ann's tasks with the load agent."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with httpx.AsyncClient(headers={"X-User": "ann", "A2A-Version": "1.0"}) as client:
        response = await client.post(f"{site.url}/a2a/load/", json=body, timeout=SECONDS)
    return response.json()["result"]


async def ended_task(site: Process, task_id: str) -> Any:
    """Return a task of the load agent once it has ended, however often it has to be asked for."""
    while True:
        task = await ask(site, "GetTask", id=task_id)
        if TaskState(task["status"]["state"]).is_terminal:
            return task


def text_of(result: Any) -> str:
    assert isinstance(result, CallToolResult)
    return "\n".join(each.text for each in result.content if isinstance(each, TextContent))


@pytest.mark.parametrize("mode", VERSIONS)
async def test_a_tool_answers_with_what_the_agent_says(site: Process, mode: str) -> None:
    async with connected(site, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool("echo", {"message": "Hello there"})
    assert tools["echo"].title == "Echo"
    assert "Says it again" in (tools["echo"].description or "")
    assert "Itineraries" in (tools["travel-desk"].description or "")
    assert text_of(result).strip() == "Hello there"
    assert not result.is_error
    assert result.structured_content["state"] == TaskState.COMPLETED


@pytest.mark.parametrize("mode", VERSIONS)
async def test_the_progress_of_an_agent_comes_while_it_works(
    site: Process, mode: str, tmp_path: Path
) -> None:
    goes_on = tmp_path / "goes_on"
    numbers: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        numbers.append(progress)
        if message == "Half way":
            goes_on.touch()

    said = [{"status": "Half way"}, {"chunks": ["One, ", {"file": str(goes_on)}, "two."]}]
    async with connected(site, mode) as client:
        result = await client.call_tool(
            "speaker", {"message": json.dumps(said)}, progress_callback=note
        )
    assert text_of(result) == "One, two."
    assert numbers == sorted(set(numbers))


async def test_a_question_is_answered_by_a_second_call(site: Process) -> None:
    async with connected(site) as client:
        asked = await client.call_tool("travel-desk", {"message": "Plan a trip to Lisbon"})
        task = asked.structured_content["task_id"]
        done = await client.call_tool("travel-desk", {"message": "2", "task_id": task})
    assert asked.structured_content["state"] == TaskState.INPUT_REQUIRED
    assert "How many days in Lisbon?" in text_of(asked)
    assert task in text_of(asked)
    assert not asked.is_error
    assert done.structured_content["task_id"] == task
    plan = {"destination": "Lisbon", "days": ["Day 1", "Day 2"]}
    assert done.structured_content["data"] == [plan]
    assert "Have a good trip!" in text_of(done)
    [calendar] = [each for each in done.content if isinstance(each, EmbeddedResource)]
    assert calendar.resource.mime_type == "text/calendar"


async def test_each_kind_of_part_is_content_of_its_kind(site: Process) -> None:
    raw = base64.b64encode(b"some bytes").decode()
    parts: list[dict[str, Any]] = [
        {"raw": raw, "mediaType": "image/png"},
        {"raw": raw, "mediaType": "audio/wav"},
        {"url": "https://example.org/a.pdf", "filename": "a.pdf", "mediaType": "application/pdf"},
        {"data": [1, None]},
    ]
    said = json.dumps([{"part": part} for part in parts])
    async with connected(site) as client:
        result = await client.call_tool("speaker", {"message": said})
    image, audio, link, text = result.content
    assert isinstance(image, ImageContent)
    assert isinstance(audio, AudioContent)
    assert image.data == audio.data == raw
    assert isinstance(link, ResourceLink)
    assert (link.uri, link.name) == ("https://example.org/a.pdf", "a.pdf")
    assert isinstance(text, TextContent)
    assert json.loads(text.text) == [1, None]
    assert result.structured_content["data"] == [[1, None]]


async def test_what_an_agent_or_the_caller_does_wrong_is_an_error_of_the_tool(
    site: Process,
) -> None:
    async with connected(site) as client:
        failed = await client.call_tool("load", {"message": json.dumps({"end": "failed"})})
        raised = await client.call_tool("load", {"message": json.dumps({"end": "raise"})})
        unfit = await client.call_tool("load", {"message": "x", "task_id": 3})
        other = await client.call_tool("echo", {"message": "x", "task_id": "not-there"})
        with pytest.raises(MCPError, match="Unknown tool: nobody"):
            await client.call_tool("nobody", {"message": "x"})
    assert [each.is_error for each in (failed, raised, unfit, other)] == [True] * 4
    assert "Failed, as told." in text_of(failed)
    assert "as told" not in text_of(raised)
    assert "task_id" in text_of(unfit)
    assert text_of(other) == "Task not found"


async def test_a_task_is_its_callers_alone(site: Process) -> None:
    async with connected(site) as ann, connected(site, name="bob") as bob:
        asked = await ann.call_tool("travel-desk", {"message": "Plan a trip to Lisbon"})
        answer = {"message": "2", "task_id": asked.structured_content["task_id"]}
        assert (await bob.call_tool("travel-desk", answer)).is_error
        assert not (await ann.call_tool("travel-desk", answer)).is_error


async def test_a_client_that_gives_up_cancels_the_task(site: Process) -> None:
    seen = asyncio.Event()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.set()

    async with connected(site) as client:
        hanging = client.call_tool(
            "load", {"message": json.dumps({"end": "hang"})}, progress_callback=note
        )
        call = asyncio.create_task(hanging)
        await seen.wait()
        [task] = (await ask(site, "ListTasks", pageSize=1))["tasks"]
        call.cancel()
        await asyncio.wait([call])
        # The agent hangs, so that nothing else ends its task, and this waits until it has ended.
        ended = await ended_task(site, task["id"])
    assert ended["status"]["state"] == TaskState.CANCELED


async def test_requests_are_refused_as_those_of_the_api_are(site: Process) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    url = f"{site.url}/mcp/"
    known = {"X-User": "ann"}
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        unknown = await client.post(url, json=body)
        of_a_page = await client.post(
            url, content=json.dumps(body), headers={**known, "Content-Type": "text/plain"}
        )
        by_get = await client.get(url, headers=known)
    assert unknown.status_code == 401
    assert "no valid credentials" in unknown.json()["error"]["message"]
    assert of_a_page.status_code == 415
    assert by_get.status_code == 405


def test_an_answer_without_a_task_is_a_result_without_one() -> None:
    outcome = Outcome()
    said = Message(message_id="m", role=Role.AGENT, context_id="c", parts=[Part(text="Hi.")])
    assert outcome.add(StreamResponse.of(message=said)) is None
    result = outcome.result()
    assert text_of(result) == "Hi."
    assert result.structured_content == {"context_id": "c", "data": []}


def test_a_server_of_wsgi_says_that_it_needs_asgi(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.contrib.mcp_urls"
    response = WSGIClient().post("/mcp/", data={}, content_type="application/json")
    assert response.status_code >= 400
    assert response.json()["error"]["message"] == "The MCP server needs ASGI."
