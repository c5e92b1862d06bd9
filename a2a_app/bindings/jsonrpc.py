"""The JSON-RPC binding (section 9): an envelope in, an envelope out, for each operation."""

import json
import logging
from dataclasses import dataclass
from math import isfinite
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.bindings.bodies import read_json
from a2a_app.bindings.calls import call_of, check_version
from a2a_app.bindings.security import declared_security
from a2a_app.bindings.sse import event_stream
from a2a_app.operations import OPERATIONS, Call, Operation

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Envelope:
    """What surrounds a result: the id, as JSON text, of the request it answers."""

    id: str = "null"

    def result(self, body: str) -> str:
        """Wrap a result's JSON."""
        return f'{{"jsonrpc":"2.0","id":{self.id},"result":{body}}}'

    def error(self, error: protocol.A2AError) -> str:
        """Wrap an error (section 9.5)."""
        body = {"code": error.code, "message": error.message, "data": error.details()}
        return f'{{"jsonrpc":"2.0","id":{self.id},"error":{json.dumps(body)}}}'


async def serve(request: HttpRequest, agent: Agent) -> HttpResponseBase:
    """Answer one JSON-RPC request; whatever goes wrong is answered as a JSON-RPC error (R12)."""
    envelope = Envelope()
    try:
        return await _serve(request, agent, envelope)
    except protocol.A2AError as error:
        return _refuse(envelope, error)
    except Exception:  # no client gets a page of HTML, and none sees what is inside
        reference = uuid4()
        logger.exception("A request failed; reference %s.", reference)
        return _refuse(envelope, protocol.InternalError(f"Internal error. Reference: {reference}"))


async def _serve(request: HttpRequest, agent: Agent, envelope: Envelope) -> HttpResponseBase:
    body = read_json(request)
    envelope.id = _id(body)
    operation = _operation(request, body)
    call = await call_of(request, agent)
    operation.check_capability(call)
    params = operation.params.from_dict(body.get("params") or {})
    del body
    response = await _perform(operation, call, params, envelope)
    if call.extensions:
        response[protocol.EXTENSIONS_HEADER] = ", ".join(call.extensions)
    return response


async def _perform(
    operation: Operation, call: Call, params: protocol.Model, envelope: Envelope
) -> HttpResponseBase:
    if operation.streaming is not None:
        stream = operation.streaming(call, params)
        return await event_stream(stream, wrap=envelope.result, wrap_error=envelope.error)
    assert operation.unary is not None  # one of the two it is
    result = await operation.unary(call, params)
    return _answer(envelope.result(result.to_json()))


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


def _operation(request: HttpRequest, body: dict[str, Any]) -> Operation:
    if body.get("jsonrpc") != "2.0":
        raise protocol.InvalidRequestError('jsonrpc must be "2.0".')
    method = body.get("method")
    if not isinstance(method, str) or not method:
        raise protocol.InvalidRequestError("method must be a string.")
    operation = OPERATIONS.get(method)
    # A slash is in every method's name of 0.3 and in none of 1.0 (section 9.1).
    check_version(request, named_by_method="/" not in method)
    if operation is None:
        raise protocol.MethodNotFoundError(f"There is no method {method[:100]!r}.")
    if not isinstance(body.get("params"), dict | None):
        raise protocol.InvalidParamsError.of("params", "must be an object")
    return operation


def _refuse(envelope: Envelope, error: protocol.A2AError) -> HttpResponse:
    # JSON-RPC errors are answers, with status 200; only what HTTP itself must know gets its own.
    status = error.http_status if error.http_status in (401, 413) else 200
    response = _answer(envelope.error(error), status=status)
    if status == 401:
        response["WWW-Authenticate"] = declared_security().challenge
    return response


def _answer(body: str, *, status: int = 200) -> HttpResponse:
    return HttpResponse(body.encode(), content_type="application/json", status=status)
