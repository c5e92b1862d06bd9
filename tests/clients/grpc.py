"""Calls over gRPC, by the official SDK's messages, and what comes back."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
from a2a.types import a2a_pb2 as pb
from a2a.types.a2a_pb2_grpc import A2AServiceStub
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.rpc import status_pb2

SECONDS = 20.0
DETAILS = "grpc-status-details-bin"


class GrpcClient:
    """Calls one agent; metadata that are given here go with each call."""

    def __init__(self, channel: grpc.aio.Channel, agent: str = "load", **metadata: str) -> None:
        self.channel = channel
        self.stub: Any = A2AServiceStub(channel)  # type: ignore[no-untyped-call]  # it has no types
        self.metadata = {"a2a-agent": agent, **metadata}

    def calls(self, agent: str, **metadata: str) -> "GrpcClient":
        """Make a client of another agent, on the same connection."""
        return GrpcClient(self.channel, agent, **metadata)

    async def send(self, message: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Send a message and return the task, as JSON."""
        asked = ParseDict({"message": message, **more}, pb.SendMessageRequest())
        answer = await self.call("SendMessage", asked)
        task: dict[str, Any] = MessageToDict(answer)["task"]
        return task

    async def call(self, method: str, asked: Message, **metadata: str) -> Any:
        """Return the answer to a call that is no stream."""
        return await self.start(method, asked, **metadata)

    def start(self, method: str, asked: Message, **metadata: str) -> Any:
        """Begin a call that is no stream."""
        ask = getattr(self.stub, method)
        return ask(asked, metadata=self._metadata(metadata), timeout=SECONDS)

    def stream(self, method: str, asked: Message, **metadata: str) -> Any:
        """Open a stream."""
        return getattr(self.stub, method)(asked, metadata=self._metadata(metadata))

    def _metadata(self, more: dict[str, str]) -> tuple[tuple[str, str], ...]:
        given = {name.replace("_", "-"): value for name, value in {**self.metadata, **more}.items()}
        return tuple((name, value) for name, value in given.items() if value)


async def items_of(stream: Any) -> list[dict[str, Any]]:
    """Return all that a stream holds, as JSON."""
    async with asyncio.timeout(SECONDS):
        return [MessageToDict(item) async for item in stream]


async def refused(work: Awaitable[Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of the status with which a call is refused, and google.rpc.Status as JSON."""
    try:
        found = await work
    except grpc.aio.AioRpcError as error:
        return error.code().name, status_in(error)
    raise AssertionError(f"It was answered: {found}")


def status_in(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """Return the details of an error as JSON; fail where they contradict its own status."""
    trailers = dict([*(error.trailing_metadata() or ())])  # of pairs, in each version of grpc
    status = status_pb2.Status.FromString(trailers[DETAILS])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    found: dict[str, Any] = MessageToDict(status)
    return found
