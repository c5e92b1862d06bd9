"""The HTTP+JSON binding (section 11)."""

import json
from functools import lru_cache
from typing import Any, get_args

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_variables

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.bindings.calls import admit, call_of, header, read_json_object, version_of
from a2a_app.bindings.dialects import CURRENT, Dialect
from a2a_app.bindings.responders import Answer, Responder
from a2a_app.bindings.routes import Route
from a2a_app.bindings.v11 import DIALECT_11
from a2a_app.operations import Call
from a2a_app.protocol import InvalidParamsError

MEDIA_TYPES = CURRENT.media_types
# How long a header `Accept` may be that is read, as it is before the caller is known. Django takes
# 3 ms for so much, and half a second for 64 KB.
MAX_ACCEPT_CHARACTERS = 300


class RestResponder(Responder):
    """Writes results as they are, and errors as google.rpc.Status."""

    error_event = "error"

    def __init__(self, request: HttpRequest, dialect: Dialect) -> None:
        self.dialect = dialect
        accept = header(request, "Accept")
        accept = accept if len(accept) <= MAX_ACCEPT_CHARACTERS else ""
        self.media_type = _preferred(accept, dialect.media_types)

    def wrap(self, body: str) -> str:
        """Return the JSON of a result as it is."""
        return body

    def wrap_error(self, error: protocol.A2AError) -> str:
        """Return an error as JSON (section 11.6)."""
        return json.dumps(self.dialect.plain_error(error))

    def status(self, error: protocol.A2AError) -> int:
        """Return the HTTP status of an error (section 5.4)."""
        return error.http_status

    def _response(self, body: str, *, status: int = 200) -> Answer:
        response = super()._response(body, status=status)
        # The response to a GET is for this caller only, and is out of date the next moment.
        response["Cache-Control"] = "no-store"
        return response


@lru_cache(maxsize=32)
def _preferred(accept: str, media_types: tuple[str, ...]) -> str:
    """Return the media type that a client prefers, and the first one if it has no preference.

    A client that accepts none of them, such as one that wants a stream and is refused, gets plain
    JSON: there are SDKs that read no error of another type.

    Cached, because clients of one kind all send the same header, and Django needs as long to parse
    it as we need for the request.
    """
    request = HttpRequest()
    request.META["HTTP_ACCEPT"] = accept or "*/*"
    try:
        return request.get_preferred_type(media_types) or "application/json"
    except (LookupError, ValueError):  # as for the charset of a body: see `with_known_charset`
        return "application/json"


async def serve(
    request: HttpRequest, agent: Agent, route: Route, fields: dict[str, str]
) -> HttpResponseBase:
    """Answer a request for a route of an agent.

    Args:
        request: The request.
        agent: The agent of the URL.
        route: The route below the agent's URL.
        fields: The fields of the parameters that the URL contains.
    """
    responder = RestResponder(request, route.method.dialect)
    work = _serve(request, agent, route, fields, responder)
    return await responder.answer(work, request, agent)


async def _serve(
    request: HttpRequest,
    agent: Agent,
    route: Route,
    fields: dict[str, str],
    responder: RestResponder,
) -> HttpResponseBase:
    call, params = await _read(request, agent, route, fields, responder)
    return await responder.perform(route.method.operation, call, params)


@sensitive_variables("body", "params", "given")
async def _read(
    request: HttpRequest,
    agent: Agent,
    route: Route,
    fields: dict[str, str],
    responder: RestResponder,
) -> tuple[Call, protocol.Params]:
    """Read a request, check it, and tell the responder the version in which to answer it.

    A function of its own, so that the JSON is not held in memory while the operation waits.
    """
    dialect, operation = route.method.dialect, route.method.operation
    version = version_of(request, implied=dialect.version)
    if (dialect.version, version) == (protocol.VERSION, protocol.VERSION_11):
        responder.dialect = dialect = DIALECT_11  # they have the same URLs
    if version != dialect.version:
        raise protocol.MethodNotFoundError(f"There is no such URL in version {version}.")
    caller = await admit(request)
    has_body = request.method == "POST"
    body = read_json_object(request) if has_body else {}
    # The fields of a query have the same names in all versions.
    given = dialect.params(body) if has_body else _from_query(request.GET, operation.params)
    if not has_body:
        given |= {name: request.GET[name] for name in dialect.query_fields if name in request.GET}
    given = _with_fields(given, fields, operation.params)
    call = await call_of(request, agent, caller, dialect, given)
    return call, await operation.checked_params(call, given)


def _with_fields(
    given: dict[str, Any], fields: dict[str, str], params: type[protocol.Model]
) -> dict[str, Any]:
    """Add the fields of the path, which the body may repeat but not contradict."""
    names = params.wire_names
    complete = {names.get(key, key): value for key, value in given.items()}
    for key, value in fields.items():
        name = names.get(key, key)
        if complete.get(name) not in (None, "", value):
            raise InvalidParamsError.of(name, "is not the one in the URL")
        complete[name] = value
    return complete


def _from_query(query: QueryDict, params: type[protocol.Model]) -> dict[str, Any]:
    """Read the parameters of a query (section 11.5), and ignore unknown ones."""
    given: dict[str, Any] = {}
    for said, values in query.lists():
        key = _FORMER_NAMES.get(said, said)
        name = next((n for n, wire in params.wire_names.items() if key in (n, wire)), None)
        if name is None:
            continue
        wire = params.wire_names[name]
        if wire in given or len(values) > 1:
            raise InvalidParamsError.of(wire, "must be given once")
        given[wire] = values[0]
        if _is_flag(params.model_fields[name].annotation):
            given[wire] = _BOOLEANS.get(values[0], values[0])
    return given


_BOOLEANS = {"true": True, "false": False}
# From a draft of 1.0. The SDK of Go asks by it (2.3.1), and would get all tasks.
_FORMER_NAMES = {"lastUpdatedAfter": "statusTimestampAfter"}


def _is_flag(annotation: Any) -> bool:
    types = get_args(annotation) or (annotation,)
    return any(bool in (each, *get_args(each)) for each in types)
