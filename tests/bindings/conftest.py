"""What the tests of the bindings share: JSON-RPC without a socket, and settings for one test."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncClient

from tests.bindings.mangling import Stored
from tests.rpc import HEADERS, envelope, told

SECONDS = 20.0
PUBLIC = "https://192.0.43.10/hook"
BYPASS = "a2a_app.middleware.bypass"
Settings = Callable[..., None]


@pytest.fixture
def whole_chain(settings: Any) -> None:
    """Have requests meet all middleware, as in a project that did not think of the bypass."""
    settings.MIDDLEWARE = [path for path in settings.MIDDLEWARE if path != BYPASS]


class Rpc:
    """Talks JSON-RPC to the project inside the test's process."""

    def __init__(self) -> None:
        self.http = AsyncClient(raise_request_exception=False)

    async def post(
        self, body: bytes | object, *, path: str = "/a2a/load/", **headers: str
    ) -> HttpResponseBase:
        """Send bytes as they are, or anything else as JSON; `A2A_Version="0.3"` is a header."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items() if value}
        async with asyncio.timeout(SECONDS):
            return await self.http.post(path, data, content_type="application/json", headers=named)

    async def answer(self, body: bytes | object, **options: str) -> dict[str, Any]:
        """Give the JSON-RPC answer to a request that is written out."""
        return body_of(await self.post(body, **options))

    async def call(
        self, method: str, params: object, *, agent: str = "load", **headers: str
    ) -> dict[str, Any]:
        """Give the answer to a call: the envelope of the result or the error."""
        request = {**envelope(method, {}), "params": params}
        options = {"path": f"/a2a/{agent}/", **_with_version(headers)}
        return await self.answer(request, **options)

    async def result(self, method: str, *, agent: str = "load", **params: Any) -> dict[str, Any]:
        """Give the result; fails where there is an error."""
        answer = await self.call(method, params, agent=agent)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def task(self, **load: Any) -> dict[str, Any]:
        """Send what the load agent is told, and give the task."""
        task: dict[str, Any] = (await self.result("SendMessage", message=told(**load)))["task"]
        return task


def _with_version(headers: dict[str, str]) -> dict[str, str]:
    defaults = {name.replace("-", "_"): value for name, value in HEADERS.items()}
    return {**defaults, **headers}


def calls_about(task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Give a call of each operation that names a task."""
    return [
        ("GetTask", {"id": task_id}),
        ("CancelTask", {"id": task_id}),
        ("SubscribeToTask", {"id": task_id}),
        ("CreateTaskPushNotificationConfig", {"taskId": task_id, "url": PUBLIC}),
        ("GetTaskPushNotificationConfig", {"taskId": task_id, "id": "x"}),
        ("ListTaskPushNotificationConfigs", {"taskId": task_id}),
        ("DeleteTaskPushNotificationConfig", {"taskId": task_id, "id": "x"}),
        ("SendMessage", {"message": told() | {"taskId": task_id}}),
        ("SendStreamingMessage", {"message": told() | {"taskId": task_id}}),
    ]


def body_of(response: HttpResponseBase) -> dict[str, Any]:
    """Give the JSON object of an answer that is no stream."""
    assert response["Content-Type"] == "application/json", response
    body = strict_json(response.content)  # type: ignore[attr-defined]  # no stream, by its type
    assert isinstance(body, dict)
    return body


def strict_json(text: str | bytes) -> Any:
    """Read JSON as other languages do: NaN and Infinity are none."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


async def events_of(response: HttpResponseBase) -> list[dict[str, Any]]:
    """Read a stream to its end, and give its envelopes."""
    assert isinstance(response, StreamingHttpResponse), response
    async with asyncio.timeout(SECONDS):
        text = b"".join([chunk async for chunk in response]).decode()
    lines = [line for line in text.split("\n") if line.startswith("data: ")]
    return [strict_json(line.removeprefix("data: ")) for line in lines]


def error_of(answer: dict[str, Any]) -> tuple[int, str]:
    """Give the code and the reason of an error; BadRequest stands for bad fields."""
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
    """Give the paths of the fields that an error names."""
    assert error_of(answer) == (-32602, "BadRequest"), answer
    return [violation["field"] for violation in answer["error"]["data"][0]["fieldViolations"]]


@pytest.fixture
def a2a(settings: Any) -> Settings:
    """Set some of the app's settings for a test, before its first request."""

    def change(**values: Any) -> None:
        settings.A2A = {**settings.A2A, **values}

    return change


# The settings first: the runtime must end while they are still as they were.
@pytest.fixture
async def rpc(a2a: Settings, runtime: None) -> AsyncIterator[Rpc]:
    yield Rpc()


@pytest.fixture
async def stored(rpc: Rpc) -> Stored:
    ended = await rpc.task(chunks=3)
    # By a stream, which ends when the run is over: nothing is still being written.
    said = {"message": told(chunks=2, end="input-required")}
    request = envelope("SendStreamingMessage", said)
    first, *_ = await events_of(await rpc.post(request, path="/a2a/load-retry/"))
    return Stored(ended["id"], first["result"]["task"]["id"])
