"""JSON-RPC over HTTP without a socket: calls of an agent, and what their answers say."""

import asyncio
import json
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient

from tests.wire import HEADERS, envelope, load_message, strict_json

SECONDS = 20.0


class HttpClient(AsyncClient):
    """Django's client; the names of headers arrive as a server passes them on.

    That of Django 5.2 itself writes underscores into them.
    """

    def _base_scope(self, **request: Any) -> Any:
        scope = super()._base_scope(**request)  # type: ignore[misc]  # unknown to django-stubs
        scope["headers"] = [(name.replace(b"_", b"-"), said) for name, said in scope["headers"]]
        return scope


class JsonRpcClient:
    """Speaks JSON-RPC to the project inside the test's process, to one agent unless told otherwise.

    Headers are keywords with underscores, such as `A2A_Version="0.3"`. Those that are given here go
    with each request; an empty one is not sent.
    """

    def __init__(self, agent: str = "load", **headers: str) -> None:
        self.agent = agent
        self.headers = headers
        self.http: AsyncClient = HttpClient(raise_request_exception=False)

    async def post(
        self, body: bytes | object, *, path: str = "", **headers: str
    ) -> HttpResponseBase:
        """Send bytes as they are, or anything else as JSON, with no version unless one is given."""
        path = path or f"/a2a/{self.agent}/"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            name.replace("_", "-"): value
            for name, value in {**self.headers, **headers}.items()
            if value
        }
        async with asyncio.timeout(SECONDS):
            return await self.http.post(path, data, content_type="application/json", headers=sent)

    async def answer(self, body: bytes | object, **options: str) -> dict[str, Any]:
        """Return the JSON-RPC answer to a request that is written out, be it the only event."""
        response = await self.post(body, **options)
        if response["Content-Type"] != "text/event-stream":
            return body_of(response)
        [event] = await events_of(response)
        return event

    async def call(
        self, method: str, params: object, *, agent: str = "", **headers: str
    ) -> dict[str, Any]:
        """Return the answer to a call of version 1.0: the envelope of the result or the error."""
        request = {**envelope(method, {}), "params": params}
        version = {name.replace("-", "_"): value for name, value in HEADERS.items()}
        return await self.answer(
            request, path=f"/a2a/{agent or self.agent}/", **{**version, **headers}
        )

    async def result(self, method: str, *, agent: str = "", **params: Any) -> dict[str, Any]:
        """Return the result; fail where there is an error."""
        answer = await self.call(method, params, agent=agent)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def send(self, message: dict[str, Any], *, agent: str = "") -> dict[str, Any]:
        """Send a message and return the task."""
        result = await self.result("SendMessage", agent=agent, message=message)
        task: dict[str, Any] = result["task"]
        return task

    async def task(self, **load: Any) -> dict[str, Any]:
        """Say to the load agent what to do, and return the task."""
        return await self.send(load_message(**load), agent="load")


def body_of(response: HttpResponseBase) -> dict[str, Any]:
    """Return the JSON object of an answer that is no stream."""
    assert response["Content-Type"] == "application/json", response
    body = strict_json(response.content)  # type: ignore[attr-defined]  # no stream, by its type
    assert isinstance(body, dict)
    return body


async def events_of(response: HttpResponseBase) -> list[dict[str, Any]]:
    """Read a stream to its end, and return its envelopes."""
    assert response["Content-Type"] == "text/event-stream", response
    # An error of 0.3 is a stream that is there already.
    content = getattr(response, "content", b"")
    if isinstance(response, StreamingHttpResponse):
        async with asyncio.timeout(SECONDS):
            content = b"".join([chunk async for chunk in response])
    lines = [line for line in content.decode().split("\n") if line.startswith("data: ")]
    return [strict_json(line.removeprefix("data: ")) for line in lines]


def error_of(answer: dict[str, Any]) -> tuple[int, str]:
    """Return the code and the reason of an error; BadRequest stands for bad fields."""
    error = answer["error"]
    assert set(error) == {"code", "message", "data"}
    assert isinstance(error["message"], str) and error["message"]
    (detail,) = error["data"]
    kind = detail["@type"].removeprefix("type.googleapis.com/google.rpc.")
    if kind == "ErrorInfo":
        assert detail["domain"] == "a2a-protocol.org"
        return error["code"], detail["reason"]
    return error["code"], kind


def bad_fields(answer: dict[str, Any]) -> list[str]:
    """Return the paths of the fields that an error names."""
    assert error_of(answer) == (-32602, "BadRequest"), answer
    return [violation["field"] for violation in answer["error"]["data"][0]["fieldViolations"]]
