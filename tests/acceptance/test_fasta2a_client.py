"""FastA2A's client against a real server, which it takes for one of its own.

It calls the methods of 0.3 and looks in their results for the members of 1.0, which are not there.
So its messages are taken, it can get the tasks that they make, and of results and events it sees
only that they came.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fasta2a.client import A2AClient

from tests.clients.sdk import plain_http
from tests.clients.sockets import SocketClient
from tests.servers import Process, served
from tests.wire import UNKNOWN_TASK, chunk_numbers

Told = dict[str, Any]


@pytest.fixture(scope="module")
def only_server() -> Iterator[Process]:
    with served("sqlite", "daphne") as process:
        yield process


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with plain_http() as client:
        yield client


@pytest.fixture
def client(only_server: Process, http: httpx.AsyncClient) -> A2AClient:
    return A2AClient(f"{only_server.url}/a2a/load/", http_client=http)


def said(text: str, **more: str) -> Told:
    return {"role": "user", "message_id": str(uuid4()), "parts": [{"text": text}], **more}


async def only_task(server: Process, client: A2AClient, context_id: str, agent: str) -> Told:
    """Find the one task of a context, and let the client get it."""
    async with SocketClient(server.url, agent) as ours:
        [task] = (await ours.result("ListTasks", contextId=context_id))["tasks"]
    found: Told = (await client.get_task(task["id"]))["result"]
    return found


async def test_it_reads_a_card_whose_skills_name_their_modes(only_server: Process) -> None:
    base = f"{only_server.url}/a2a/mirror"
    # It asks for the card without async.
    client = await asyncio.to_thread(A2AClient, base, fetch_card=True)
    assert client.agent_card is not None
    assert client.agent_card["name"] == "Mirror"
    assert client.http_client.base_url == f"{base}/"
    await client.http_client.aclose()


async def test_it_sends_a_message_and_gets_the_task(
    only_server: Process, client: A2AClient
) -> None:
    context_id = str(uuid4())
    answer = await client.send_message(said(json.dumps({"chunks": 2}), context_id=context_id))
    assert "error" not in answer
    task = await only_task(only_server, client, context_id, "load")
    assert task["status"]["state"] == "completed"
    assert [each["role"] for each in task["history"]] == ["user"]
    [artifact] = task["artifacts"]
    assert chunk_numbers(artifact) == [0, 1]


async def test_it_streams_a_message_to_its_end(only_server: Process, client: A2AClient) -> None:
    context_id = str(uuid4())
    message = said(json.dumps({"chunks": 3}), context_id=context_id)
    answers = [answer async for answer in client.stream_message(message)]
    # The task, at work, three chunks, and the end.
    assert len(answers) == 6
    assert not any("error" in answer for answer in answers)
    task = await only_task(only_server, client, context_id, "load")
    assert task["status"]["state"] == "completed"


async def test_it_answers_what_the_agent_asks(
    only_server: Process, http: httpx.AsyncClient
) -> None:
    desk = A2AClient(f"{only_server.url}/a2a/travel-desk/", http_client=http)
    context_id = str(uuid4())
    await desk.send_message(said("Plan a trip to Lisbon", context_id=context_id))
    asked = await only_task(only_server, desk, context_id, "travel-desk")
    assert asked["status"]["state"] == "input-required"
    assert "Lisbon" in asked["status"]["message"]["parts"][0]["text"]
    await desk.send_message(said("2", context_id=context_id, task_id=asked["id"]))
    planned = (await desk.get_task(asked["id"]))["result"]
    assert planned["status"]["state"] == "completed"
    assert [each["name"] for each in planned["artifacts"]] == ["itinerary", "calendar"]


async def test_it_knows_a_task_that_is_not_found(client: A2AClient) -> None:
    answer = await client.get_task(UNKNOWN_TASK)
    assert (answer["error"]["code"], answer["error"]["message"]) == (-32001, "Task not found")
