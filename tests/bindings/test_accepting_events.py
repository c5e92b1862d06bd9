"""Clients that accept nothing but events, and are refused before there is one."""

import pytest

from tests.clients.json_rpc import JsonRpcClient, body_of, error_of, events_of
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, envelope, message

NOT_FOUND = (-32001, "TASK_NOT_FOUND")


@pytest.mark.parametrize("accept", ["text/event-stream", "text/event-stream;q=0.9"])
@pytest.mark.parametrize("method", ["SubscribeToTask", "SendStreamingMessage"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_that_accepts_only_events_reads_a_refusal_as_one(
    rpc: JsonRpcClient, a2a: ChangeSettings, accept: str, method: str, version: str
) -> None:
    a2a(DRAFTS=["1.1"], PROTOCOL_VERSIONS=["1.0", "1.1"])
    params = {"id": UNKNOWN_TASK, "message": message(taskId=UNKNOWN_TASK)}
    response = await rpc.post(envelope(method, params), Accept=accept, A2A_Version=version)
    assert response["Content-Type"] == "text/event-stream"
    [event] = await events_of(response)
    assert event["id"] == "test"
    assert error_of(event) == NOT_FOUND


@pytest.mark.parametrize("accept", ["", "*/*", "application/json, text/event-stream"])
async def test_a_client_that_accepts_json_reads_the_refusal_of_a_stream_as_json(
    rpc: JsonRpcClient, accept: str
) -> None:
    response = await rpc.post(envelope("SubscribeToTask", {"id": UNKNOWN_TASK}), Accept=accept)
    assert error_of(body_of(response)) == NOT_FOUND


async def test_an_operation_that_does_not_stream_never_answers_with_events(
    rpc: JsonRpcClient,
) -> None:
    response = await rpc.post(envelope("GetTask", {"id": UNKNOWN_TASK}), Accept="text/event-stream")
    assert error_of(body_of(response)) == NOT_FOUND
