"""The JSON-RPC binding (section 9)."""

import json
from contextlib import suppress
from math import isfinite
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_variables

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.bindings.calls import (
    SMALL_BYTES,
    admit,
    call_of,
    header,
    read_json,
    version_of,
)
from a2a_app.bindings.dialects import METHODS, Method
from a2a_app.bindings.responders import Responder
from a2a_app.bindings.sse import MEDIA_TYPE as EVENTS
from a2a_app.bindings.v03 import RPC_METHODS
from a2a_app.bindings.v11 import METHODS_11
from a2a_app.operations import Call, Operation


class JsonRpcResponder(Responder):
    """Writes the envelope of JSON-RPC round results and errors."""

    binding = "JSONRPC"

    def __init__(self) -> None:
        self.id = "null"
        """The request's id as JSON text, once that is known."""

    def wrap(self, body: str) -> str:
        """Put the JSON of a result into the envelope."""
        return f'{{"jsonrpc":"2.0","id":{self.id},"result":{body}}}'

    def wrap_error(self, error: protocol.A2AError) -> str:
        """Return an error in the envelope (section 9.5)."""
        body = {"code": error.code, "message": error.message, "data": error.details()}
        return f'{{"jsonrpc":"2.0","id":{self.id},"error":{json.dumps(body)}}}'

    def status(self, error: protocol.A2AError) -> int:
        """Return 200, apart from the few errors that HTTP itself has to know of."""
        return error.http_status if error.http_status in (401, 403, 413, 429) else 200


async def serve(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer a JSON-RPC request to an agent."""
    responder = JsonRpcResponder()
    return await responder.answer(_serve(request, agent, responder), request, agent)


async def _serve(
    request: HttpRequest, agent: Agent, responder: JsonRpcResponder
) -> HttpResponseBase:
    operation, call, params = await _read(request, agent, responder)
    return await responder.perform(operation, call, params)


@sensitive_variables("body", "params", "given")
async def _read(
    request: HttpRequest, agent: Agent, responder: JsonRpcResponder
) -> tuple[Operation, Call, protocol.Params]:
    """Read a request, check it, and tell the responder how to answer it.

    A function of its own, so that the JSON is not held in memory while the operation waits.
    """
    try:
        caller = await admit(request)
    except Exception:
        # The answer names the request that it refuses, unless that would be work for nobody.
        with suppress(protocol.A2AError):
            open_envelope(request, read_json(request, SMALL_BYTES), responder)
        raise
    method, params = open_envelope(request, read_json(request), responder)
    given = method.dialect.params(params)
    call = await call_of(request, agent, caller, method.dialect, given)
    return method.operation, call, await method.operation.checked_params(call, given)


def open_envelope(
    request: HttpRequest, body: Any, responder: JsonRpcResponder
) -> tuple[Method, dict[str, Any]]:
    """Return the method and the parameters in an envelope, and tell the responder what it says."""
    if not isinstance(body, dict):
        raise protocol.InvalidRequestError("The body must be one JSON object.")
    responder.errors_are_events = _answers_with_events(request, body)
    responder.id = id_of(body)
    method = _method(request, body)
    responder.dialect = method.dialect
    return method, _params(body)


def id_of(body: dict[str, Any]) -> str:
    """Return the id of a request as JSON text.

    A body without one is a notification of JSON-RPC, which gets no answer. Each method here has a
    result, and requests have an id (section 9.3), so that a client has forgotten it.
    """
    if "id" not in body:
        raise protocol.InvalidRequestError("id is required: there are no notifications here.")
    request_id = body["id"]
    if isinstance(request_id, bool) or not isinstance(request_id, str | int | float | None):
        raise protocol.InvalidRequestError("id must be a string, a number or null.")
    if isinstance(request_id, float) and not isfinite(request_id):
        raise protocol.InvalidRequestError("id must be a number that a double can hold.")
    return json.dumps(request_id)


def _answers_with_events(request: HttpRequest, body: dict[str, Any]) -> bool:
    """Tell whether the answer is a stream, even if it is an error.

    Clients of 0.3 read nothing else where the method streams (section 3.3.1 of 0.3). Nor do some of
    1.0, which say so: they take an answer in JSON for a stream that ends without an event.
    """
    name = body.get("method")
    if not isinstance(name, str):
        return False
    if (old := RPC_METHODS.get(name)) is not None:
        return old.operation.streaming is not None
    method = METHODS.get(name)
    if method is None or method.operation.streaming is None:
        return False
    return _accepts_events_only(request)


def _accepts_events_only(request: HttpRequest) -> bool:
    accepted = header(request, "Accept").split(",")
    return all(each.partition(";")[0].strip() == EVENTS for each in accepted)


def _method(request: HttpRequest, body: dict[str, Any]) -> Method:
    if body.get("jsonrpc") != "2.0":
        raise protocol.InvalidRequestError('jsonrpc must be "2.0".')
    name = body.get("method")
    if not isinstance(name, str) or not name:
        raise protocol.InvalidRequestError("method must be a string.")
    # The names of 0.3 have a slash, and those of 1.0 have none (section 9.1).
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


_METHODS = {
    protocol.VERSION: METHODS,
    protocol.VERSION_03: RPC_METHODS,
    protocol.VERSION_11: METHODS_11,
}
