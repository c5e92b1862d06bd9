"""The draft of 1.1 over gRPC: its fields, by their numbers in the proto of the branch dev-1.1."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from a2a_app.bindings.grpc.server import GrpcServer
from a2a_app.feed.topics import current_feed
from a2a_app.operations.generations import URI
from tests.clients.grpc import GrpcClient, refused
from tests.conftest import ChangeSettings
from tests.wire import load_message

SECONDS = 20
VERSIONS = ["1.1", "1.0", "0.3"]


@pytest.fixture
async def server(a2a: ChangeSettings, runtime: None) -> AsyncIterator[GrpcServer]:
    a2a(PUBLIC_URL="https://agents.example.com", DRAFTS=["1.1"], PROTOCOL_VERSIONS=VERSIONS)
    server = GrpcServer("127.0.0.1", 0)
    await server.start()
    yield server
    await server.end()


@pytest.fixture
def drafted(client: GrpcClient) -> GrpcClient:
    return client.calls("load", a2a_version="1.1")


def added(message: Message) -> dict[int, int]:
    """Return the numbers in a message for which 1.0 has no fields, by the fields' numbers."""
    return {each.field_number: each.data for each in UnknownFieldSet(message)}


def with_number(message: Any, field: int, number: int) -> Any:
    """Return a message with a number below 128 in a field that 1.0 does not have."""
    message.MergeFromString(bytes([field << 3, number]))
    return message


def said(**message: Any) -> pb.SendMessageRequest:
    sent = load_message(chunks=1, end="input-required") | message
    request: pb.SendMessageRequest = ParseDict({"message": sent}, pb.SendMessageRequest())
    return request


async def test_tasks_and_events_have_generations_where_the_proto_has_them(
    client: GrpcClient, drafted: GrpcClient
) -> None:
    numbers = []
    async with asyncio.timeout(SECONDS):
        async for item in drafted.stream("SendStreamingMessage", said()):
            kind = item.WhichOneof("payload")
            content = getattr(item, kind)
            numbers.append(added(content)[5 if kind == "status_update" else 7])
            task_id = getattr(content, "task_id", "") or content.id
    assert numbers == list(range(1, len(numbers) + 1))
    asked = pb.GetTaskRequest(id=task_id)
    task = await drafted.call("GetTask", asked)
    assert added(task) == {7: numbers[-1]}
    [listed] = (await drafted.call("ListTasks", pb.ListTasksRequest())).tasks
    assert added(listed) == added(task)
    # A client of 1.0 gets what it got before.
    old = await client.call("GetTask", asked)
    assert (added(old), MessageToDict(old)) == ({}, MessageToDict(task))
    assert URI not in str(MessageToDict(task))


async def test_what_is_sent_for_another_generation_is_refused(drafted: GrpcClient) -> None:
    sent = (await drafted.call("SendMessage", said())).task
    now = added(sent)[7]
    request = said(taskId=sent.id)
    with_number(request.configuration, 5, now - 1)
    code, status = await refused(drafted.call("SendMessage", request))
    assert (code, status["details"][0]["reason"]) == ("ABORTED", "TASK_GENERATION_MISMATCH")
    request = said(taskId=sent.id)
    with_number(request.configuration, 5, now)
    assert added((await drafted.call("SendMessage", request)).task)[7] > now


async def test_a_task_is_waited_for_until_it_is_newer(drafted: GrpcClient) -> None:
    sent = (await drafted.call("SendMessage", said())).task
    now = added(sent)[7]
    before = current_feed()._streams.total()
    asked = with_number(pb.GetTaskRequest(id=sent.id), 4, now)
    waits = asyncio.create_task(drafted.call("GetTask", asked))
    async with asyncio.timeout(SECONDS):
        while current_feed()._streams.total() == before:  # noqa: ASYNC110  # no event is set there
            await asyncio.sleep(0)
    canceled = await drafted.call("CancelTask", pb.CancelTaskRequest(id=sent.id))
    found = await asyncio.wait_for(waits, SECONDS)
    assert added(found) == added(canceled) == {7: now + 1}
    assert found.status.state == pb.TASK_STATE_CANCELED
