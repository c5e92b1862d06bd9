"""Executors of the official SDK behind ours, beside the same ones on the SDK's own server."""

import asyncio
import importlib
import sys
from itertools import chain
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.helpers import new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format
from starlette.applications import Starlette

from a2a_app.agents import registry
from a2a_app.contrib.sdk import SDKExecutor
from a2a_app.protocol import InternalError, TaskState
from tests.clients.operations import OperationsClient, client_of
from tests.sites import named_blocks
from tests.tasks import new_message

SECONDS = 20
pytestmark = pytest.mark.usefixtures("runtime")


class Scripted(AgentExecutor):
    """Does what the first word of the message says."""

    def __init__(self) -> None:
        self.begun, self.canceled = asyncio.Event(), asyncio.Event()
        self.contexts: list[RequestContext] = []

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message and context.task_id and context.context_id
        self.contexts.append(context)
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await getattr(self, context.get_user_input().replace("-", "_"))(updater)

    async def chunks(self, updater: TaskUpdater) -> None:
        await updater.start_work(updater.new_agent_message([pb.Part(text="on it")]))
        for index in range(3):
            await updater.add_artifact(
                [pb.Part(text=f"{index} ")],
                artifact_id="told",
                name="Told",
                append=index > 0,
                last_chunk=index == 2,
            )
        data = pb.Part()
        data.data.struct_value.update({"n": 1.5})
        await updater.add_artifact(
            [data, pb.Part(raw=b"\0\1", media_type="image/png", filename="a.png")],
            artifact_id="rest",
            metadata={"kind": "parts"},
        )
        await updater.complete(updater.new_agent_message([pb.Part(text="done")]))

    async def always_append(self, updater: TaskUpdater) -> None:
        for _ in range(2):
            await updater.add_artifact([pb.Part(text="a")], artifact_id="told", append=True)
        await updater.complete()

    async def ask(self, updater: TaskUpdater) -> None:
        await updater.requires_input(updater.new_agent_message([pb.Part(text="Which?")]))

    async def login(self, updater: TaskUpdater) -> None:
        await updater.requires_auth()

    async def login_and_go_on(self, updater: TaskUpdater) -> None:
        await updater.requires_auth(updater.new_agent_message([pb.Part(text="Who are you?")]))
        await updater.start_work()
        await updater.add_artifact([pb.Part(text="you")], artifact_id="told")
        await updater.complete()

    async def refuse(self, updater: TaskUpdater) -> None:
        await updater.reject()

    async def fail(self, updater: TaskUpdater) -> None:
        await updater.failed(updater.new_agent_message([pb.Part(text="no")]))

    async def crash(self, updater: TaskUpdater) -> None:
        raise RuntimeError("secret")

    async def wait(self, updater: TaskUpdater) -> None:
        await updater.start_work()
        self.begun.set()
        await asyncio.Event().wait()

    async def stray(self, updater: TaskUpdater) -> None:
        await TaskUpdater(updater.event_queue, "other", updater.context_id).complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id and context.context_id
        self.contexts.append(context)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()
        self.canceled.set()


class Hello(AgentExecutor):
    """Answers by a message, as the SDK's first sample does."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        await event_queue.enqueue_event(new_text_message(f"Hello {context.get_user_input()}"))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


class Wholesale(AgentExecutor):
    """Says all it has to say by one task."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.message
        task = new_task_from_user_message(context.message)
        task.artifacts.add(artifact_id="a", parts=[pb.Part(text="all at once")])
        task.status.state = pb.TASK_STATE_COMPLETED
        task.metadata.update({"price": 3.5})
        await event_queue.enqueue_event(task)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


CARD = pb.AgentCard(
    name="Scripted",
    description="Does what it is told.",
    version="1",
    capabilities=pb.AgentCapabilities(streaming=True),
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
    supported_interfaces=[
        pb.AgentInterface(url="http://sdk/", protocol_binding="JSONRPC", protocol_version="1.0")
    ],
)


async def on_the_sdk(executor: AgentExecutor, text: str) -> list[dict[str, Any]]:
    """Return the events of a stream of the SDK's own server, by its client."""
    handler = DefaultRequestHandler(
        agent_executor=executor, agent_card=CARD, task_store=InMemoryTaskStore()
    )
    app = Starlette(routes=create_jsonrpc_routes(handler, "/"))
    ours = asyncio.all_tasks()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        client = ClientFactory(ClientConfig(httpx_client=http)).create(CARD)
        message = pb.Message(message_id="1", role=pb.ROLE_USER, parts=[pb.Part(text=text)])
        sent = client.send_message(pb.SendMessageRequest(message=message))
        async with asyncio.timeout(SECONDS):
            events = [json_format.MessageToDict(each) async for each in sent]
    # A task that waits leaves the SDK's server a task of asyncio's. Where that is collected as
    # garbage in another thread, its queue waits there for ever, with all that the thread holds.
    left = asyncio.all_tasks() - ours
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    return events


def bare(events: list[dict[str, Any]]) -> list[Any]:
    """Return events without ids and times, which differ from server to server."""

    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return [strip(each) for each in value]
        if not isinstance(value, dict):
            return value
        dropped = {"taskId", "contextId", "messageId", "timestamp", "id"}
        # The protocol's JSON leaves out a field with its default, or has it.
        return {
            key: strip(each)
            for key, each in value.items()
            if key not in dropped and each not in (False, {}, [])
        }

    return [strip(each) for each in events]


@pytest.mark.parametrize("text", ["chunks", "ask", "login", "login-and-go-on", "refuse", "fail"])
async def test_an_executor_gives_the_events_that_it_gives_on_the_server_of_the_sdk(
    text: str,
) -> None:
    theirs = await on_the_sdk(Scripted(), text)
    with client_of(SDKExecutor(Scripted()), name="Scripted") as client:
        ours = await client.stream(text)
    assert bare(ours) == bare(theirs)
    assert len(ours) > 1


async def test_an_executor_is_told_what_the_client_said_and_in_which_task() -> None:
    executor = Scripted()
    with client_of(SDKExecutor(executor), name="Scripted") as client:
        asked = await client.send("ask")
        done = await client.send(
            new_message("always-append", context_id=asked.context_id, task_id=asked.id)
        )
    first, second = executor.contexts
    assert first.current_task is None
    assert second.current_task is not None
    assert second.current_task.id == second.task_id == asked.id
    assert [each.parts[0].text for each in second.current_task.history] == [
        "ask", "Which?", "always-append",
    ]  # fmt: skip  # as one list
    assert done.status.state is TaskState.COMPLETED
    assert done.artifacts[0].parts[0].text == "aa"


@pytest.mark.parametrize("text", ["ask", "login"])
async def test_an_executor_is_told_that_a_task_which_waits_is_canceled(text: str) -> None:
    executor = Scripted()
    with client_of(SDKExecutor(executor), name="Scripted") as client:
        asked = await client.send(text)
        assert asked.status.state.is_interrupted
        task = await client.cancel(asked.id)
    assert executor.canceled.is_set()
    assert task.status.state is TaskState.CANCELED
    context = executor.contexts[-1]
    assert context.current_task is not None and context.task_id == context.current_task.id
    assert (context.task_id, context.context_id) == (asked.id, asked.context_id)


async def test_an_executor_is_told_to_stop_when_the_client_cancels() -> None:
    executor = Scripted()
    with client_of(SDKExecutor(executor), name="Scripted") as client:
        stream = asyncio.create_task(client.stream("wait"))
        async with asyncio.timeout(SECONDS):
            await executor.begun.wait()
            await client.cancel(executor.contexts[0].task_id or "")
            events = await stream
            await executor.canceled.wait()
    assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("text", ["crash", "stray"])
async def test_a_task_fails_whose_executor_raises(text: str) -> None:
    with client_of(SDKExecutor(Scripted()), name="Scripted") as client:
        task = await client.send(text)
    assert task.status.state is TaskState.FAILED
    assert task.status.message is not None and "secret" not in task.status.message.text


async def test_an_executor_of_messages_answers_without_a_task_as_on_the_server_of_the_sdk() -> None:
    theirs = await on_the_sdk(Hello(), "you")
    with client_of(SDKExecutor(Hello(), only_messages=True), name="Hello") as client:
        response = await client.respond("you")
    assert response.message is not None
    assert bare([{"message": response.message.to_dict()}]) == bare(theirs)


async def test_a_message_in_a_turn_ends_the_task() -> None:
    with client_of(SDKExecutor(Hello()), name="Hello") as client:
        task = await client.send("you")
    assert task.status.state is TaskState.COMPLETED
    assert task.status.message is not None and task.status.message.text == "Hello you"


async def test_a_task_is_refused_of_an_executor_that_was_declared_with_messages_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = SDKExecutor(Scripted(), only_messages=True)
    with client_of(subject, name="Scripted") as client, pytest.raises(InternalError):
        await client.respond("ask")
    assert "only_messages" in caplog.text


async def test_a_whole_task_adds_what_the_stored_one_does_not_have() -> None:
    with client_of(SDKExecutor(Wholesale()), name="Wholesale") as client:
        task = await client.send("go")
    assert task.status.state is TaskState.COMPLETED
    assert [each.parts[0].text for each in task.artifacts] == ["all at once"]
    assert task.metadata == {"price": 3.5}


async def test_the_executor_of_the_page_on_moving_answers() -> None:
    shown = "\n".join(chain(*named_blocks("docs/moving-from-a2a-sdk.md").values()))
    with registry.registered():
        exec(shown, {"__name__": "pages"})
        task = await OperationsClient(registry.get("hello")).send("you")
    assert task.artifacts[0].parts[0].text == "Hello, you"


def test_without_the_sdk_the_module_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a2a.auth.user", None)
    monkeypatch.delitem(sys.modules, "a2a_app.contrib.sdk")
    with pytest.raises(ImportError, match=r"pip install 'django-agent2agent\[sdk\]'"):
        importlib.import_module("a2a_app.contrib.sdk")
