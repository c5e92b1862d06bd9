"""Workers of FastA2A behind ours, beside the same ones on FastA2A's own server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any

import httpx
import pytest
from fasta2a import FastA2A, Worker
from fasta2a.broker import InMemoryBroker
from fasta2a.pydantic_ai import AgentWorker
from fasta2a.schema import Artifact, Message, Part, TaskIdParams, TaskSendParams
from fasta2a.storage import InMemoryStorage
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from a2a_app.agents import registry
from a2a_app.contrib.fasta2a import FastA2AWorker
from a2a_app.protocol import TaskState
from tests.clients.operations import SECONDS, OperationsClient, client_of
from tests.contrib.test_sdk import bare
from tests.sites import named_blocks
from tests.tasks import new_message

pytestmark = pytest.mark.usefixtures("runtime")


class Scripted(Worker[list[str]]):
    """Does what the message says."""

    def __init__(self, broker: Any, storage: Any) -> None:
        super().__init__(broker=broker, storage=storage)
        self.begun = asyncio.Event()
        self.params: list[TaskSendParams] = []
        self.canceled: asyncio.Queue[str] = asyncio.Queue()

    async def run_task(self, params: TaskSendParams) -> None:
        self.params.append(params)
        task = await self.storage.load_task(params["id"])
        assert task is not None and task["status"]["state"] == "submitted"
        await self.storage.update_task(task["id"], state="working")
        await self.publish_status(task["id"], task["context_id"], "working")
        await getattr(self, params["message"]["parts"][0]["text"])(task["id"], task["context_id"])

    async def chunks(self, task_id: str, context_id: str) -> None:
        parts = [Part(text="a "), Part(text="b ")]
        for index, part in enumerate(parts):
            chunk = Artifact(artifact_id="told", name="Told", parts=[part])
            await self.publish_artifact(
                task_id, context_id, chunk, append=index > 0, last_chunk=index == 1
            )
        whole = Artifact(artifact_id="told", name="Told", parts=parts)
        await self.storage.update_task(task_id, state="completed", new_artifacts=[whole])

    async def store(self, task_id: str, context_id: str) -> None:
        parts = [Part(data={"n": 1.5}), Part(raw="AAE=", media_type="image/png")]
        said = Message(role="agent", message_id="m", parts=[Part(text="done")])
        stored = [Artifact(artifact_id="rest", parts=parts, metadata={"state": "new"})]
        await self.storage.update_task(task_id, "completed", stored, [said])

    async def count(self, task_id: str, context_id: str) -> None:
        known = [*(await self.storage.load_context(context_id) or []), "one"]
        await self.storage.update_context(context_id, known)
        told = Artifact(artifact_id="known", parts=[Part(text=" ".join(known))])
        await self.storage.update_task(task_id, state="completed", new_artifacts=[told])

    async def ask(self, task_id: str, context_id: str) -> None:
        await self.storage.update_task(task_id, state="input-required")

    async def refuse(self, task_id: str, context_id: str) -> None:
        await self.storage.update_task(task_id, state="rejected")

    async def crash(self, task_id: str, context_id: str) -> None:
        raise RuntimeError("secret")

    async def wait(self, task_id: str, context_id: str) -> None:
        self.begun.set()
        await asyncio.Event().wait()

    async def cancel_task(self, params: TaskIdParams) -> None:
        self.canceled.put_nowait(params["id"])
        await self.storage.update_task(params["id"], state="canceled")

    def build_message_history(self, history: list[Message]) -> list[Any]:
        return history

    def build_artifacts(self, result: Any) -> list[Artifact]:
        return []


def scripted() -> Scripted:
    return Scripted(broker=InMemoryBroker(), storage=InMemoryStorage())


@asynccontextmanager
async def on_fasta2a(worker: Worker[Any]) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a worker by FastA2A's own server."""
    app = FastA2A(storage=worker.storage, broker=worker.broker)
    async with app.task_manager, worker.run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://fasta2a") as http:
            yield http


async def theirs(worker: Worker[Any], text: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the events of a stream of FastA2A's own server, and the task afterwards."""
    message = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": text}]}
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage"}
    async with asyncio.timeout(SECONDS), on_fasta2a(worker) as http:
        answer = await http.post("/", json={**call, "params": {"message": message}})
        lines = [each[6:] for each in answer.text.splitlines() if each.startswith("data: ")]
        events = [json.loads(each)["result"] for each in lines]
        get = {**call, "method": "GetTask", "params": {"id": events[0]["task"]["id"]}}
        return events, (await http.post("/", json=get)).json()["result"]


def compared(task: dict[str, Any]) -> Any:
    """Return a task without ids and times, and text that goes on as one part, as ours has it."""
    for artifact in task.get("artifacts", []):
        texts = [part["text"] for part in artifact["parts"] if set(part) == {"text"}]
        if texts:
            artifact["parts"] = [{"text": "".join(texts)}]
    return bare([task])


@pytest.mark.parametrize("text", ["chunks", "store", "refuse", "ask"])
async def test_a_worker_gives_the_task_that_it_gives_on_the_server_of_fasta2a(text: str) -> None:
    streamed, expected = await theirs(scripted(), text)
    with client_of(FastA2AWorker(scripted()), name="Scripted") as client:
        events = await client.stream(text)
        task = await client.get(events[0]["task"]["id"])
    assert compared(task.to_dict()) == compared(expected)
    if text != "store":  # FastA2A streams nothing of what a worker only stores
        assert bare(events) == bare(streamed)


async def test_the_worker_of_a_pydantic_ai_agent_answers_as_on_the_server_of_fasta2a() -> None:
    def made() -> AgentWorker[Any, Any]:
        agent = Agent(TestModel(custom_output_text="Hello you there"))
        return AgentWorker(agent=agent, broker=InMemoryBroker(), storage=InMemoryStorage())

    streamed, expected = await theirs(made(), "hi")
    with client_of(FastA2AWorker(made()), name="Pydantic") as client:
        events = await client.stream("hi")
        first = await client.get(events[0]["task"]["id"])
        second = await client.send(new_message("again", context_id=first.context_id))
    told = [each for each in events if "artifactUpdate" in each]
    assert len(told) == len([each for each in streamed if "artifactUpdate" in each]) > 2
    [ours], [same] = first.to_dict()["artifacts"], expected["artifacts"]
    assert (ours["name"], ours["parts"]) == (same["name"], same["parts"])
    assert [each.text for each in first.history] == ["hi", "Hello you there"]
    assert [each["role"] for each in expected["history"]] == ["ROLE_USER", "ROLE_AGENT"]
    assert second.status.state is TaskState.COMPLETED


async def test_what_a_worker_stores_for_a_conversation_is_there_in_its_next_task() -> None:
    with client_of(FastA2AWorker(scripted()), name="Scripted") as client:
        first = await client.send("count")
        second = await client.send(new_message("count", context_id=first.context_id))
        other = await client.send("count")
    said = [each.artifacts[0].parts[0].text for each in (first, second, other)]
    assert said == ["one", "one one", "one"]


async def test_a_worker_is_told_what_the_client_said_and_in_which_task() -> None:
    worker = scripted()
    with client_of(FastA2AWorker(worker), name="Scripted") as client:
        task = await client.send("ask", metadata={"k": 1}, accepted_output_modes=["text/plain"])
        await client.send(new_message("ask", context_id=task.context_id, task_id=task.id))
    first, second = worker.params
    assert (first["id"], first["context_id"]) == (task.id, task.context_id) == (
        second["id"], second["context_id"],
    )  # fmt: skip  # as one tuple
    assert first["message"]["role"] == "user" and first["message"]["task_id"] == task.id
    assert first.get("metadata") == {"k": 1}
    assert first.get("accepted_output_modes") == ["text/plain"]


async def test_a_task_fails_whose_worker_raises() -> None:
    with client_of(FastA2AWorker(scripted()), name="Scripted") as client:
        task = await client.send("crash")
    assert task.status.state is TaskState.FAILED
    assert task.status.message is not None and "secret" not in task.status.message.text


async def test_a_worker_is_told_to_stop_when_the_client_cancels() -> None:
    worker = scripted()
    with client_of(FastA2AWorker(worker), name="Scripted") as client:
        waiting = await client.send("ask")
        await client.cancel(waiting.id)
        assert worker.canceled.get_nowait() == waiting.id
        stream = asyncio.create_task(client.stream("wait"))
        async with asyncio.timeout(SECONDS):
            await worker.begun.wait()
            task_id = worker.params[-1]["id"]
            await client.cancel(task_id)
            events = await stream
            assert await worker.canceled.get() == task_id  # it is told as its turn ends
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"


async def test_the_worker_of_the_page_on_moving_answers() -> None:
    shown = "\n".join(chain(*named_blocks("docs/moving-from-fasta2a.md").values()))
    with registry.registered():
        exec(shown, {"__name__": "pages"})
        task = await OperationsClient(registry.get("hello")).send("you")
    assert task.artifacts[0].parts[0].text == "Hello, you"
