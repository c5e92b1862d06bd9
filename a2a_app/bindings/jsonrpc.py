"""The JSON-RPC binding (section 9): an envelope in, an envelope out, for each operation."""

import json
from math import isfinite
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.bindings.callers import caller_of
from a2a_app.bindings.calls import call_of, read_json, version_of
from a2a_app.bindings.dialects import METHODS, Method
from a2a_app.bindings.responders import Responder
from a2a_app.bindings.v03 import RPC_METHODS


class JsonRpcResponder(Responder):
    """What surrounds a result: the id, as JSON text, of the request it answers."""

    def __init__(self) -> None:
        self.id = "null"

    def wrap(self, body: str) -> str:
        """Wrap a result's JSON."""
        return f'{{"jsonrpc":"2.0","id":{self.id},"result":{body}}}'

    def wrap_error(self, error: protocol.A2AError) -> str:
        """Wrap an error (section 9.5)."""
        body = {"code": error.code, "message": error.message, "data": error.details()}
        return f'{{"jsonrpc":"2.0","id":{self.id},"error":{json.dumps(body)}}}'

    def status(self, error: protocol.A2AError) -> int:
        """Give 200: errors are answers. Only what HTTP itself must know has a status of its own."""
        return error.http_status if error.http_status in (401, 403, 413) else 200


async def serve(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer one JSON-RPC request."""
    envelope = JsonRpcResponder()
    return await envelope.answer(_serve(request, agent, envelope))


async def _serve(
    request: HttpRequest, agent: Agent, envelope: JsonRpcResponder
) -> HttpResponseBase:
    body = read_json(request)
    envelope.id = _id(body)
    method = _method(request, body)
    envelope.dialect = method.dialect
    params = _params(body)
    del body
    caller = await caller_of(request)
    given = method.dialect.params(params)
    call = await call_of(request, agent, caller, method.dialect, given)
    return await envelope.perform(method.operation, call, given)


def _id(body: Any) -> str:
    """Check that the body is a request, and give its id as JSON text."""
    if not isinstance(body, dict):
        raise protocol.InvalidRequestError("The body must be one JSON object.")
    given = body.get("id")
    if isinstance(given, bool) or not isinstance(given, str | int | float | None):
        raise protocol.InvalidRequestError("id must be a string, a number or null.")
    if isinstance(given, float) and not isfinite(given):
        raise protocol.InvalidRequestError("id must be a number that a double can hold.")
    return json.dumps(given)


def _method(request: HttpRequest, body: dict[str, Any]) -> Method:
    if body.get("jsonrpc") != "2.0":
        raise protocol.InvalidRequestError('jsonrpc must be "2.0".')
    name = body.get("method")
    if not isinstance(name, str) or not name:
        raise protocol.InvalidRequestError("method must be a string.")
    # A slash is in every method's name of 0.3 and in none of 1.0 (section 9.1).
    implied = protocol.VERSION_03 if "/" in name else protocol.VERSION
    version = version_of(request, implied=implied)
    try:
        return _METHODS[version][name]
    except KeyError:
        raise protocol.MethodNotFoundError(
            f"There is no method {name[:100]!r} in version {version}."
        ) from None


def _params(body: dict[str, Any]) -> dict[str, Any]:
    params = body.get("params")
    if not isinstance(params, dict | None):
        raise protocol.InvalidParamsError.of("params", "must be an object")
    return params or {}


_METHODS = {protocol.VERSION: METHODS, protocol.VERSION_03: RPC_METHODS}
