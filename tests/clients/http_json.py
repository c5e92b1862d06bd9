"""HTTP+JSON without a socket: the routes of an agent, and what their answers say."""

import asyncio
import json
from typing import Any

from django.http.response import HttpResponseBase
from django.test import AsyncClient

from tests.clients.json_rpc import SECONDS
from tests.wire import HEADERS, load_message, strict_json

A2A_JSON = "application/a2a+json"


class HttpJsonClient:
    """Speaks HTTP+JSON to one agent of the project inside the test's process."""

    def __init__(self, agent: str = "load", **headers: str) -> None:
        self.base = f"/a2a/{agent}"
        self.headers = {**HEADERS, **_named(headers)}
        self.http = AsyncClient(raise_request_exception=False)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        media_type: str = A2A_JSON,
        **headers: str,
    ) -> HttpResponseBase:
        """Send a request; bytes as they are, None as nothing, anything else as JSON."""
        if body is None:
            data = b""
        else:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {**self.headers, **_named(headers)}
        # Not as `headers`, of which older releases of Django write Content-Type with an underscore.
        sent: Any = {name: value for name, value in named.items() if value}
        async with asyncio.timeout(SECONDS):
            return await self.http.generic(method, self.base + path, data, media_type, **sent)

    async def get(self, path: str, **headers: str) -> HttpResponseBase:
        """Send a GET."""
        return await self.ask("GET", path, **headers)

    async def post(self, path: str, body: object = None, **options: str) -> HttpResponseBase:
        """Send a POST."""
        return await self.ask("POST", path, body, **options)

    async def result(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the result; fail where there is an error."""
        response = await self.ask(method, path, body)
        assert response.status_code == 200, json_of(response)
        return json_of(response)

    async def task(self, **load: Any) -> dict[str, Any]:
        """Say to the load agent what to do, and return the task."""
        result = await self.result("POST", "/message:send", {"message": load_message(**load)})
        task: dict[str, Any] = result["task"]
        return task


def without_version(agent: str = "load") -> HttpJsonClient:
    """Make a client that names no version, as those of 0.3 do."""
    return HttpJsonClient(agent, A2A_Version="")


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def json_of(response: HttpResponseBase) -> dict[str, Any]:
    """Return the JSON object of an answer that is no stream."""
    assert response["Content-Type"] in (A2A_JSON, "application/json"), response
    body = strict_json(response.content)  # type: ignore[attr-defined]  # no stream, by its type
    assert isinstance(body, dict)
    return body


def refusal_of(response: HttpResponseBase) -> tuple[int, str]:
    """Return the status and the reason of an error, which must have the form of section 11.6."""
    body = json_of(response)
    assert set(body) == {"error"}, body
    error = body["error"]
    assert set(error) == {"code", "status", "message", "details"}
    assert error["code"] == response.status_code >= 400
    assert isinstance(error["message"], str) and error["message"]
    assert error["status"] == error["status"].upper()
    info = error["details"][0]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert info["domain"] == "a2a-protocol.org"
    return response.status_code, info["reason"]


def bad_fields_of(response: HttpResponseBase) -> list[str]:
    """Return the paths of the fields that an error names."""
    assert refusal_of(response) == (400, "INVALID_PARAMS"), json_of(response)
    _, bad = json_of(response)["error"]["details"]
    assert bad["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    return [violation["field"] for violation in bad["fieldViolations"]]
