"""The official SDK's client, in the words of the tests, and what every server refuses it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientCallContext, ClientConfig, ClientFactory
from a2a.client import Client as SdkClient
from a2a.client.transports.jsonrpc import JsonRpcTransport
from a2a.helpers import get_data_parts
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors

from tests.servers import Database, Process, fresh_database, web_server

SECONDS = 20.0
NOBODYS = "00000000-0000-7000-8000-000000000000"

# What the load agent is told to end as, and what clients then see.
ENDS = {
    "completed": "COMPLETED",
    "failed": "FAILED",
    "rejected": "REJECTED",
    "raise": "FAILED",
    "input-required": "INPUT_REQUIRED",
    "auth-required": "AUTH_REQUIRED",
}


@contextmanager
def served(database: Database, server: Literal["daphne", "uvicorn"]) -> Iterator[Process]:
    """Run a server on a fresh database."""
    with fresh_database(database) as url:
        process = web_server(server, database_url=url)
        process.start()
        try:
            yield process
        finally:
            process.kill()


def plain_http() -> httpx.AsyncClient:
    """Make an HTTP client without certificates: to load them takes longer than most tests."""
    return httpx.AsyncClient(timeout=SECONDS, verify=False)


async def card_of(base_url: str) -> pb.AgentCard:
    """Resolve the card of a site or of an agent."""
    async with plain_http() as http:
        return await A2ACardResolver(http, base_url).get_agent_card()


class Client:
    """The SDK's client of one agent, with shorter ways to ask for things."""

    def __init__(self, sdk: SdkClient, http: httpx.AsyncClient, card: pb.AgentCard) -> None:
        self.sdk = sdk
        self.http = http
        self.card = card

    async def stream(
        self,
        message: pb.Message,
        metadata: dict[str, Any] | None = None,
        context: ClientCallContext | None = None,
        **configuration: Any,
    ) -> list[pb.StreamResponse]:
        """Send a message and give all that the client yields, to the end."""
        sent = self.open(message, metadata, context, **configuration)
        async with asyncio.timeout(SECONDS):
            return [item async for item in sent]

    def open(
        self,
        message: pb.Message,
        metadata: dict[str, Any] | None = None,
        context: ClientCallContext | None = None,
        **configuration: Any,
    ) -> AsyncIterator[pb.StreamResponse]:
        """Send a message and give what the client yields, as it comes."""
        request = pb.SendMessageRequest(
            message=message,
            metadata=metadata,
            configuration=pb.SendMessageConfiguration(**configuration),
        )
        return self.sdk.send_message(request, context=context)

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        """Send a message and give the task; the client must not be one that streams."""
        [item] = await self.stream(message, **configuration)
        assert item.HasField("task"), item
        return item.task

    async def begin(self, message: pb.Message) -> pb.Task:
        """Send a message and give the task without waiting for it."""
        return await self.send(message, return_immediately=True)

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        """Get a task."""
        request = pb.GetTaskRequest(id=task_id, history_length=history_length)
        return await self.sdk.get_task(request)

    async def list(self, **asked: Any) -> pb.ListTasksResponse:
        """Get a page of tasks."""
        return await self.sdk.list_tasks(pb.ListTasksRequest(**asked))

    async def pages(self, **asked: Any) -> Sequence[pb.ListTasksResponse]:
        """Get all pages of tasks, from the first to the last."""
        async with asyncio.timeout(SECONDS):
            found = [await self.list(**asked)]
            while token := found[-1].next_page_token:
                found.append(await self.list(page_token=token, **asked))
        return found

    async def cancel(self, task_id: str) -> pb.Task:
        """Cancel a task."""
        return await self.sdk.cancel_task(pb.CancelTaskRequest(id=task_id))

    def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        """Subscribe to a task."""
        return self.sdk.subscribe(pb.SubscribeToTaskRequest(id=task_id))

    async def call(self, method: str) -> Any:
        """Call a method by its name."""
        url = self.card.supported_interfaces[0].url
        transport = JsonRpcTransport(self.http, self.card, url, is_shared_httpx=True)
        # Its public methods know no others than the protocol's.
        return await transport._send_request({"jsonrpc": "2.0", "id": 1, "method": method})


@asynccontextmanager
async def connected(
    base_url: str, binding: str, agent: str = "load", *, extended: bool = False, **config: Any
) -> AsyncIterator[Client]:
    """Give a client of an agent, made of its card.

    Args:
        base_url: Where the server is.
        binding: What the client is to speak, as cards call it.
        agent: The agent's slug.
        extended: Whether to make the client believe that there is an extended card.
        **config: Of ClientConfig; `streaming=False` makes the client wait for the task instead.
    """
    async with plain_http() as http:
        card = await A2ACardResolver(http, f"{base_url}/a2a/{agent}").get_agent_card()
        card.capabilities.extended_agent_card |= extended
        chosen = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding], **config)
        sdk = ClientFactory(chosen).create(card)
        yield Client(sdk, http, card)


Connect = Callable[..., AbstractAsyncContextManager[Client]]
"""`connected`, with the server and the binding chosen."""

both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["sending", "streaming"])


def said(*content: str | pb.Part, role: pb.Role = pb.ROLE_USER, **more: Any) -> pb.Message:
    """Make a message, the user's unless told otherwise."""
    parts = [each if isinstance(each, pb.Part) else pb.Part(text=each) for each in content]
    return pb.Message(**{"message_id": str(uuid4()), "role": role, "parts": parts, **more})


def told(context_id: str = "", **load: Any) -> pb.Message:
    """Make a message to the load agent."""
    return said(json.dumps(load), context_id=context_id)


def headers(**given: str) -> ClientCallContext:
    """Make the context of a call with headers of its own."""
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return ClientCallContext(service_parameters=named)


def state(item: pb.StreamResponse | pb.Task) -> str:
    """Give the state that something tells of; empty for a chunk."""
    if isinstance(item, pb.Task):
        status = item.status
    elif item.HasField("task"):
        status = item.task.status
    elif item.HasField("status_update"):
        status = item.status_update.status
    else:
        return ""
    return str(pb.TaskState.Name(status.state)).removeprefix("TASK_STATE_")


def chunks(items: Iterable[pb.StreamResponse]) -> list[int]:
    """Give the numbers of the load agent's chunks, as a stream showed them."""
    found: list[pb.Part] = []
    for item in items:
        for artifact in (*item.task.artifacts, item.artifact_update.artifact):
            found += artifact.parts
    return [int(part.text.split()[0]) for part in found]


def data_of(artifact: pb.Artifact) -> Any:
    """Give the data of an artifact that is one data part."""
    assert len(artifact.parts) == 1, artifact
    [data] = get_data_parts(artifact.parts)
    return data


# What every server refuses: the error that the SDK must raise, its first words, and the cause.

Refused = tuple[type[errors.A2AError], str]

_NO_TASK = (errors.TaskNotFoundError, "Task not found")
_NO_EXTENDED_CARD = (errors.UnsupportedOperationError, "The agent has no extended card")
_INVALID = (errors.InvalidParamsError, "Invalid parameters")
_NO_VERSION = (errors.VersionNotSupportedError, "Version '9.9' is not served")
_NO_METHOD = (errors.MethodNotFoundError, "There is no method 'NoMethod'")

_PUSH = pb.TaskPushNotificationConfig(task_id=NOBODYS, id="one", url="https://192.0.43.10/told")
_PLAIN = pb.TaskPushNotificationConfig(url="http://example.com/told")
_FUTURE = headers(A2A_Version="9.9")

CALLS: dict[str, tuple[Refused, Callable[[Client], Awaitable[Any]]]] = {
    "getting a task that is nobody's": (_NO_TASK, lambda c: c.get(NOBODYS)),
    "getting a task by what is no id": (_NO_TASK, lambda c: c.get("no id")),
    "canceling a task that is nobody's": (_NO_TASK, lambda c: c.cancel(NOBODYS)),
    "subscribing to a task that is nobody's": (_NO_TASK, lambda c: anext(c.subscribe(NOBODYS))),
    "a negative history": (_INVALID, lambda c: c.get(NOBODYS, -1)),
    "a page of none": (_INVALID, lambda c: c.list(page_size=0)),
    "a page of less than none": (_INVALID, lambda c: c.list(page_size=-1)),
    "a page that is too large": (_INVALID, lambda c: c.list(page_size=101)),
    "a page token that was made up": (_INVALID, lambda c: c.list(page_token="made up")),
    "an extended card": (
        _NO_EXTENDED_CARD,
        lambda c: c.sdk.get_extended_agent_card(pb.GetExtendedAgentCardRequest()),
    ),
    "creating a push configuration": (
        _NO_TASK,
        lambda c: c.sdk.create_task_push_notification_config(_PUSH),
    ),
    "getting a push configuration": (
        _NO_TASK,
        lambda c: c.sdk.get_task_push_notification_config(
            pb.GetTaskPushNotificationConfigRequest(task_id=NOBODYS, id="one")
        ),
    ),
    "listing push configurations": (
        _NO_TASK,
        lambda c: c.sdk.list_task_push_notification_configs(
            pb.ListTaskPushNotificationConfigsRequest(task_id=NOBODYS)
        ),
    ),
    "deleting a push configuration": (
        _NO_TASK,
        lambda c: c.sdk.delete_task_push_notification_config(
            pb.DeleteTaskPushNotificationConfigRequest(task_id=NOBODYS, id="one")
        ),
    ),
    "a version of the future": (
        _NO_VERSION,
        lambda c: c.sdk.list_tasks(pb.ListTasksRequest(), context=_FUTURE),
    ),
}

# What only JSON-RPC can be asked for: HTTP+JSON has no such URLs.
RPC_CALLS: dict[str, tuple[Refused, Callable[[Client], Awaitable[Any]]]] = {
    "getting a task without an id": (_INVALID, lambda c: c.get("")),
    "a method that is none": (_NO_METHOD, lambda c: c.call("NoMethod")),
}

MESSAGES: dict[str, tuple[Refused, pb.Message, dict[str, Any]]] = {
    "to a task that is nobody's": (_NO_TASK, said("hi", task_id=NOBODYS), {}),
    "without an id": (_INVALID, said("hi", message_id=""), {}),
    "without parts": (_INVALID, said(), {}),
    "with an empty part": (_INVALID, said(pb.Part()), {}),
    "in the agent's name": (_INVALID, said("hi", role=pb.ROLE_AGENT), {}),
    "with a negative history": (_INVALID, told(), {"history_length": -1}),
    "with a webhook that is not secure": (
        _INVALID,
        told(),
        {"task_push_notification_config": _PLAIN},
    ),
    "in a version of the future": (_NO_VERSION, told(), {"context": _FUTURE}),
}
