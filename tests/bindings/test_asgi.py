"""Requests that Django's own ASGI application does not get as far as a view with."""

import json
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from a2a_app.asgi import get_asgi_application
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.wire import envelope

SECONDS = 20
communicator: Any = ApplicationCommunicator


def posted(path: str, content_type: bytes, length: bytes | None = None) -> dict[str, Any]:
    """Make the scope of a POST."""
    headers = [(b"content-type", content_type), (b"a2a-version", b"1.0")]
    if length is not None:
        headers.append((b"content-length", length))
    return {
        "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
    }  # fmt: skip  # a few short members


async def asked(path: str, content_type: bytes) -> tuple[int, dict[str, Any]]:
    """Ask for a list of tasks, and return the status and the answer."""
    body = json.dumps(envelope("ListTasks", {})).encode()
    client = communicator(get_asgi_application(), posted(path, content_type))
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


@pytest.mark.parametrize("path", ["/a2a/load/", "/a2a/load/message:send"])
@pytest.mark.parametrize(
    ("length", "pieces"), [(None, 3), (b"10001", 0), (b"9" * 5_000, 0), (b"20000", 1)]
)
async def test_a_body_is_received_until_it_is_too_large_and_no_further(
    rpc: JsonRpcClient, a2a: ChangeSettings, path: str, length: bytes | None, pieces: int
) -> None:
    a2a(MAX_BODY_BYTES=10_000)
    client = communicator(get_asgi_application(), posted(path, b"application/json", length))
    for _ in range(pieces):
        piece = {"type": "http.request", "body": b" " * 5_000, "more_body": True}
        await client.send_input(piece)
    # There is more to come.
    assert (await client.receive_output(SECONDS))["status"] == 413
    answered = await client.receive_output(SECONDS)
    assert "larger than 10000 bytes" in json.loads(answered["body"])["error"]["message"]
    # It is dropped, and the client leaves.
    await client.send_input({"type": "http.request", "body": b" " * 5_000, "more_body": True})
    await client.send_input({"type": "http.disconnect"})
    await client.wait(SECONDS)


@pytest.mark.parametrize("path", ["/a2a/load/", "/"])
async def test_a_websocket_is_refused(rpc: JsonRpcClient, path: str) -> None:
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": []}
    client = communicator(get_asgi_application(), scope)
    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output(SECONDS))["type"] == "websocket.close"
    await client.wait(SECONDS)
