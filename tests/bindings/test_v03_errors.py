"""Errors of 0.3 over JSON-RPC: streaming methods send them as events (section 3.3.1 of 0.3)."""

from typing import Any

import pytest
from django.http.response import HttpResponseBase

from a2a_app.agents import Agent, registry
from a2a_app.agents.registry import make_agent
from tests.clients.http_json import without_version
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of, events_of
from tests.conftest import ChangeSettings
from tests.wire import UNKNOWN_TASK, envelope
from tests.wire_v03 import message

STREAMING = ("message/stream", "tasks/resubscribe")
TO_NOBODYS = {"message": message(taskId=UNKNOWN_TASK), "id": UNKNOWN_TASK}


async def only_event(response: HttpResponseBase) -> dict[str, Any]:
    """Return the one event of a stream, which a proxy must not hold back."""
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    assert response["X-Accel-Buffering"] == "no"
    [event] = await events_of(response)
    return event


@pytest.mark.parametrize("method", STREAMING)
@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"params": TO_NOBODYS}, (-32001, "TASK_NOT_FOUND")),
        ({"params": {}}, (-32602, "BadRequest")),
        ({"params": "text"}, (-32602, "BadRequest")),
        ({"jsonrpc": "1.0"}, (-32600, "INVALID_REQUEST")),
    ],
)
async def test_an_error_of_a_streaming_method_is_the_only_event_of_a_stream(
    rpc: JsonRpcClient, method: str, changed: dict[str, Any], error: tuple[int, str]
) -> None:
    event = await only_event(await rpc.post({**envelope(method, {}), **changed}))
    assert (event["jsonrpc"], event["id"]) == ("2.0", "test")
    assert error_of(event) == error


@pytest.mark.parametrize("method", STREAMING)
async def test_a_stream_tells_that_the_agent_does_not_stream(
    rpc: JsonRpcClient, method: str
) -> None:
    with registry.registered(make_agent(Agent, slug="mute", streaming=False)):
        event = await only_event(await rpc.post(envelope(method, TO_NOBODYS), path="/a2a/mute/"))
    assert error_of(event) == (-32004, "UNSUPPORTED_OPERATION")


@pytest.mark.parametrize("method", STREAMING)
async def test_a_stream_tells_that_0_3_is_not_served(
    rpc: JsonRpcClient, a2a: ChangeSettings, method: str
) -> None:
    a2a(PROTOCOL_VERSIONS=["1.0"])
    event = await only_event(await rpc.post(envelope(method, TO_NOBODYS)))
    assert error_of(event) == (-32009, "VERSION_NOT_SUPPORTED")


@pytest.mark.parametrize("method", STREAMING)
async def test_a_stream_tells_of_an_internal_error(
    rpc: JsonRpcClient, a2a: ChangeSettings, method: str
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.broken"])
    event = await only_event(await rpc.post(envelope(method, TO_NOBODYS)))
    assert error_of(event) == (-32603, "INTERNAL")


async def broken(request: object) -> object:
    raise RuntimeError("the authenticator is broken")


@pytest.mark.parametrize("method", STREAMING)
async def test_a_caller_who_is_refused_gets_the_status_of_http(
    rpc: JsonRpcClient, a2a: ChangeSettings, method: str
) -> None:
    a2a(ANONYMOUS="refuse")
    response = await rpc.post(envelope(method, TO_NOBODYS))
    assert response.status_code == 401
    assert "WWW-Authenticate" in response
    assert error_of(body_of(response)) == (-32050, "UNAUTHENTICATED")


@pytest.mark.parametrize("method", ["message/send", "tasks/get", "SendStreamingMessage"])
async def test_an_error_of_another_method_or_version_is_no_stream(
    rpc: JsonRpcClient, method: str
) -> None:
    assert "error" in body_of(await rpc.post(envelope(method, {})))


@pytest.mark.parametrize("method", [["message/stream"], {"tasks/resubscribe": 1}])
async def test_an_error_of_what_is_no_method_is_no_stream(
    rpc: JsonRpcClient, method: object
) -> None:
    answer = body_of(await rpc.post({**envelope("", {}), "method": method}))
    assert error_of(answer) == (-32600, "INVALID_REQUEST")


@pytest.mark.parametrize("path", ["/v1/message:stream", f"/v1/tasks/{UNKNOWN_TASK}:subscribe"])
async def test_an_error_of_http_json_keeps_the_status_by_which_its_clients_know_it(
    rpc: JsonRpcClient, path: str
) -> None:
    response = await without_version().post(path, {})
    assert response.status_code >= 400
    assert response["Content-Type"] == "application/json"
