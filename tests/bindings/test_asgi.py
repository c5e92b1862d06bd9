"""Requests that Django's own ASGI application does not get as far as a view with."""

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from a2a_app.asgi import get_asgi_application
from tests.clients.json_rpc import JsonRpcClient
from tests.wire import envelope

SECONDS = 20
communicator: Any = ApplicationCommunicator


async def asked(path: str, content_type: bytes) -> tuple[int, dict[str, Any]]:
    """Ask for a list of tasks, and return the status and the answer."""
    body = json.dumps(envelope("ListTasks", {})).encode()
    headers = [(b"content-type", content_type), (b"a2a-version", b"1.0")]
    scope = {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
    }  # fmt: skip  # a few short members
    client = communicator(get_asgi_application(), scope)
    await client.send_input({"type": "http.request", "body": body})
    started = await client.receive_output(SECONDS)
    answered = await client.receive_output(SECONDS)
    return started["status"], json.loads(answered["body"])


@pytest.mark.parametrize(
    "parameter",
    [b"charset*=BOGUS''x", b"charset*=''x", b"a*=BOGUS''%41", b"charset*=\xff''x"],
)
async def test_a_parameter_in_an_unknown_charset_is_refused(
    rpc: JsonRpcClient, parameter: bytes
) -> None:
    status, answer = await asked("/a2a/load/", b"application/json; " + parameter)
    assert (status, answer["error"]["code"]) == (200, -32600)
    status, answer = await asked("/a2a/load/message:send", b"application/json; " + parameter)
    assert (status, answer["error"]["code"]) == (415, 415)


async def test_a_parameter_in_a_known_charset_is_read(rpc: JsonRpcClient) -> None:
    _, answer = await asked("/a2a/load/", b"application/json; charset*=utf-8''utf-8")
    assert answer["result"]["tasks"] == []


@pytest.mark.parametrize("path", ["/a2a/load/", "/"])
async def test_a_websocket_is_refused(rpc: JsonRpcClient, path: str) -> None:
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": []}
    client = communicator(get_asgi_application(), scope)
    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output(SECONDS))["type"] == "websocket.close"
    await client.wait(SECONDS)
