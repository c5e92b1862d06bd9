"""Notifications of JSON-RPC, which have no id: an agent's methods all have results."""

import pytest

from a2a_app import models
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of, events_of
from tests.wire import UNKNOWN_TASK, envelope, load_message
from tests.wire_v03 import message

INVALID = (-32600, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("SendMessage", {"message": load_message()}),
        ("SendStreamingMessage", {"message": load_message()}),
        ("message/send", {"message": message()}),
        ("GetTask", {"id": UNKNOWN_TASK}),
        ("NoSuchMethod", {}),
    ],
)
async def test_a_notification_is_refused_and_nothing_is_done(
    rpc: JsonRpcClient, method: str, params: dict[str, object]
) -> None:
    request = envelope(method, params)
    del request["id"]
    answer = body_of(await rpc.post(request))
    assert error_of(answer) == INVALID
    assert answer["id"] is None
    assert "id" in answer["error"]["message"]
    assert not await models.Task.objects.aexists()


async def test_a_notification_of_a_streaming_method_of_0_3_is_refused_by_an_event(
    rpc: JsonRpcClient,
) -> None:
    request = envelope("message/stream", {"message": message()})
    del request["id"]
    [event] = await events_of(await rpc.post(request))
    assert error_of(event) == INVALID


async def test_an_id_that_is_null_is_one(rpc: JsonRpcClient) -> None:
    request = {**envelope("SendMessage", {"message": load_message()}), "id": None}
    answer = body_of(await rpc.post(request))
    assert answer["id"] is None
    assert answer["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
