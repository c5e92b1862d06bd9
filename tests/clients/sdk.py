"""The client of the official SDK, in the words of the tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientCallContext, ClientConfig, ClientFactory
from a2a.client.transports.jsonrpc import JsonRpcTransport
from a2a.helpers import get_data_parts
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import A2AError

from tests.clients.grpc import status_in
from tests.wire import numbers_in

SECONDS = 20.0

# What the load agent is told to end as, and what clients then see.
ENDS = {
    "completed": "COMPLETED",
    "failed": "FAILED",
    "rejected": "REJECTED",
    "raise": "FAILED",
    "input-required": "INPUT_REQUIRED",
    "auth-required": "AUTH_REQUIRED",
}


def plain_http() -> httpx.AsyncClient:
    """Make an HTTP client without certificates: to load them takes longer than most tests."""
    return httpx.AsyncClient(timeout=SECONDS, verify=False)


async def card_of(base_url: str) -> pb.AgentCard:
    """Resolve the card of a site or of an agent."""
    async with plain_http() as http:
        return await A2ACardResolver(http, base_url).get_agent_card()


class SdkClient:
    """The SDK's client of one agent, with shorter ways to ask for things."""

    def __init__(self, sdk: Client, http: httpx.AsyncClient, card: pb.AgentCard) -> None:
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
        """Send a message and return all that the client yields, to the end."""
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
        """Send a message and yield what the client yields, as it comes."""
        request = pb.SendMessageRequest(
            message=message,
            metadata=metadata,
            configuration=pb.SendMessageConfiguration(**configuration),
        )
        return self.sdk.send_message(request, context=context)

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        """Send a message and return the task; the client must not be one that streams."""
        [item] = await self.stream(message, **configuration)
        assert item.HasField("task"), item
        return item.task

    async def begin(self, message: pb.Message) -> pb.Task:
        """Send a message and return the task without waiting for its end."""
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
        """Call a method of JSON-RPC by its name."""
        url = self.card.supported_interfaces[0].url
        transport = JsonRpcTransport(self.http, self.card, url, is_shared_httpx=True)
        # Its public methods know no others than the protocol's.
        return await transport._send_request({"jsonrpc": "2.0", "id": 1, "method": method})


@asynccontextmanager
async def connected(
    base_url: str, binding: str, agent: str = "load", *, extended: bool = False, **config: Any
) -> AsyncIterator[SdkClient]:
    """Make a client of an agent from its card, and yield it.

    Args:
        base_url: The server's address.
        binding: The binding that the client shall use, as cards call it.
        agent: The agent's slug.
        extended: Whether to make the client believe that there is an extended card.
        **config: Of ClientConfig; `streaming=False` makes the client wait for the task instead.
    """
    async with plain_http() as http:
        card = await A2ACardResolver(http, f"{base_url}/a2a/{agent}").get_agent_card()
        card.capabilities.extended_agent_card |= extended
        chosen = ClientConfig(
            httpx_client=http,
            supported_protocol_bindings=[binding],
            grpc_channel_factory=grpc.aio.insecure_channel,
            **config,
        )
        async with ClientFactory(chosen).create(card) as sdk:
            yield SdkClient(sdk, http, card)


Connect = Callable[..., AbstractAsyncContextManager[SdkClient]]
"""`connected`, with the server and the binding chosen."""

both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["sending", "streaming"])


def new_message(*content: str | pb.Part, role: pb.Role = pb.ROLE_USER, **more: Any) -> pb.Message:
    """Make a message, the user's unless told otherwise."""
    parts = [each if isinstance(each, pb.Part) else pb.Part(text=each) for each in content]
    return pb.Message(**{"message_id": str(uuid4()), "role": role, "parts": parts, **more})


def load_message(context_id: str = "", **load: Any) -> pb.Message:
    """Make a message that says to the load agent what to do."""
    return new_message(json.dumps(load), context_id=context_id)


def headers(**given: str) -> ClientCallContext:
    """Make the context of a call with headers of its own."""
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return ClientCallContext(service_parameters=named)


def state(item: pb.StreamResponse | pb.Task) -> str:
    """Return the state that an item tells of; empty for a chunk."""
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
    """Return the numbers of the load agent's chunks, as a stream showed them."""
    found: list[pb.Part] = []
    for item in items:
        for artifact in (*item.task.artifacts, item.artifact_update.artifact):
            found += artifact.parts
    return [number for part in found for number in numbers_in(part.text)]


def metadata_of(error: A2AError) -> Any:
    """Return what an error is about. Over gRPC the SDK leaves that in the error of grpc."""
    if isinstance(error.__cause__, grpc.aio.AioRpcError):
        return status_in(error.__cause__)["details"][0]["metadata"]
    return error.data


def data_of(artifact: pb.Artifact) -> Any:
    """Return the data of an artifact that is one data part."""
    assert len(artifact.parts) == 1, artifact
    [data] = get_data_parts(artifact.parts)
    return data
