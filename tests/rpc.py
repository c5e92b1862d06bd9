"""A client that sees the wire: JSON-RPC as it is sent, and every event with its id."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

HEADERS = {"A2A-Version": "1.0"}
SECONDS = 30.0


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Make a client's message."""
    return {"messageId": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": text}], **more}


def told(**load: Any) -> dict[str, Any]:
    """Make a message to the load agent."""
    return message(json.dumps(load))


class Client:
    """Talks JSON-RPC to one agent of a server."""

    def __init__(self, base_url: str, agent: str = "load", **headers: str) -> None:
        self.url = f"{base_url}/a2a/{agent}/"
        self.headers = {**HEADERS, **headers}
        # As many streams as a test opens.
        self.http = httpx.AsyncClient(timeout=SECONDS, limits=httpx.Limits(max_connections=None))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Give the whole answer, result or error."""
        response = await self.http.post(
            self.url, json=envelope(method, params), headers=self.headers
        )
        answer: dict[str, Any] = response.json()
        return answer

    async def result(self, method: str, **params: Any) -> dict[str, Any]:
        """Give the result; fails where there is an error."""
        answer = await self.call(method, **params)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def error(self, method: str, **params: Any) -> dict[str, Any]:
        """Give the error; fails where there is none."""
        answer = await self.call(method, **params)
        assert "error" in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    async def send(
        self, text: str | dict[str, Any] = "hello", **configuration: Any
    ) -> dict[str, Any]:
        """Send a message and give the task."""
        said = message(text) if isinstance(text, str) else text
        result = await self.result("SendMessage", message=said, configuration=configuration)
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
        """Give all of a stream, to its end."""
        async with self.open(method, **params) as events:
            return [event async for event in events]


def envelope(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Make a JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": "test", "method": method, "params": params}


def _item(event: ServerSentEvent) -> tuple[int, dict[str, Any]]:
    answer = json.loads(event.data)
    assert "result" in answer, answer
    return int(event.id or 0), answer["result"]


def state(item: dict[str, Any]) -> str:
    """Give the state that a StreamResponse tells of; empty for a chunk."""
    status = item.get("statusUpdate", item.get("task", {})).get("status", {})
    return str(status.get("state", "")).removeprefix("TASK_STATE_")


def text(item: dict[str, Any]) -> str:
    """Give the text of a chunk; empty for anything else."""
    parts = item.get("artifactUpdate", {}).get("artifact", {}).get("parts", [])
    return "".join(part.get("text", "") for part in parts)
