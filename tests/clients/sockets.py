"""JSON-RPC over a socket, to a server in another process; every event comes with its id."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from tests.wire import HEADERS, envelope, message

UNAVAILABLE = -32052

SECONDS = 30.0


class SocketClient:
    """Speaks JSON-RPC to one agent of a server; use as a context manager."""

    def __init__(self, base_url: str, agent: str = "load", **headers: str) -> None:
        self.url = f"{base_url}/a2a/{agent}/"
        self.headers = {**HEADERS, **headers}
        # As many streams as a test opens.
        self.http = httpx.AsyncClient(timeout=SECONDS, limits=httpx.Limits(max_connections=None))

    async def __aenter__(self) -> "SocketClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    def under_key(self, key: str) -> "SocketClient":
        """Return a client that sends with an idempotency key, over the same connections."""
        other = copy(self)
        other.headers = {**self.headers, "Idempotency-Key": key}
        return other

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the whole answer, result or error."""
        response = await self.http.post(
            self.url, json=envelope(method, params), headers=self.headers
        )
        answer: dict[str, Any] = response.json()
        return answer

    async def result(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result; fail where there is an error."""
        answer = await self.call(method, **params)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def error(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the error; fail where there is none."""
        answer = await self.call(method, **params)
        assert "error" in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    async def send(
        self, text: str | dict[str, Any] = "hello", **configuration: Any
    ) -> dict[str, Any]:
        """Send a text or a message, and return the task."""
        sent = message(text) if isinstance(text, str) else text
        result = await self.result("SendMessage", message=sent, configuration=configuration)
        task: dict[str, Any] = result["task"]
        return task

    @asynccontextmanager
    async def open(
        self, method: str, *, last_event_id: str = "", **params: Any
    ) -> AsyncIterator[AsyncIterator[tuple[int, dict[str, Any]]]]:
        """Open a stream of (id, StreamResponse)."""
        headers = {**self.headers, **({"Last-Event-ID": last_event_id} if last_event_id else {})}
        connection = aconnect_sse(
            self.http, "POST", self.url, json=envelope(method, params), headers=headers
        )
        async with connection as source:
            yield (_item(event) async for event in source.aiter_sse())

    async def stream(self, method: str, **params: Any) -> list[tuple[int, dict[str, Any]]]:
        """Return all of a stream, to its end."""
        async with self.open(method, **params) as events:
            return [event async for event in events]


def _item(event: ServerSentEvent) -> tuple[int, dict[str, Any]]:
    answer = json.loads(event.data)
    if "error" in answer and answer["error"]["code"] == UNAVAILABLE:
        raise SSEError("The stream was refused for now.")
    assert "result" in answer, answer
    return int(event.id or 0), answer["result"]
