"""The HTTP+JSON binding (section 11): a URL and a body in, a result or a status out."""

import json
from functools import lru_cache
from typing import Any, get_args

from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.bindings.callers import caller_of
from a2a_app.bindings.calls import call_of, header, read_json_object, version_of
from a2a_app.bindings.dialects import CURRENT, Dialect
from a2a_app.bindings.responders import Responder
from a2a_app.bindings.routes import Route
from a2a_app.protocol import InvalidParamsError

MEDIA_TYPES = CURRENT.media_types


class RestResponder(Responder):
    """A result without anything round it, and errors that say the HTTP status too."""

    error_event = "error"

    def __init__(self, request: HttpRequest, dialect: Dialect) -> None:
        self.dialect = dialect
        self.media_type = _preferred(header(request, "Accept"), dialect.media_types)

    def wrap(self, body: str) -> str:
        """Give a result's JSON as it is."""
        return body

    def wrap_error(self, error: protocol.A2AError) -> str:
        """Write an error (section 11.6)."""
        return json.dumps(self.dialect.plain_error(error))

    def status(self, error: protocol.A2AError) -> int:
        """Give the status of section 5.4."""
        return error.http_status

    def _response(self, body: str, *, status: int = 200) -> HttpResponse:
        response = super()._response(body, status=status)
        # What a GET gives is the caller's, and another the next moment.
        response["Cache-Control"] = "no-store"
        return response


@lru_cache(maxsize=32)
def _preferred(accept: str, known: tuple[str, ...]) -> str:
    """Give the first media type, unless the client says that it would rather have another.

    Clients of one kind all say the same, which Django takes as long to read as we the request.
    """
    request = HttpRequest()
    request.META["HTTP_ACCEPT"] = accept
    return request.get_preferred_type(known) or known[0]


async def serve(
    request: HttpRequest, agent: Agent, route: Route, fields: dict[str, str]
) -> HttpResponseBase:
    """Answer one request for a route.

    Args:
        request: What came in.
        agent: Whose URL it came to.
        route: Which of the agent's.
        fields: The fields of the parameters that the URL gives.
    """
    form = RestResponder(request, route.method.dialect)
    return await form.answer(_serve(request, agent, route, fields, form))


async def _serve(
    request: HttpRequest, agent: Agent, route: Route, fields: dict[str, str], form: RestResponder
) -> HttpResponseBase:
    version = version_of(request, implied=form.dialect.version)
    if version != form.dialect.version:
        raise protocol.MethodNotFoundError(f"There is no such URL in version {version}.")
    operation, has_body = route.method.operation, request.method == "POST"
    body = read_json_object(request, MEDIA_TYPES) if has_body else {}
    caller = await caller_of(request)
    # A query has fields of the same names in all versions.
    given = form.dialect.params(body) if has_body else _from_query(request.GET, operation.params)
    del body
    given = _with_fields(given, fields, operation.params)
    call = await call_of(request, agent, caller, form.dialect, given)
    return await form.perform(operation, call, given)


def _with_fields(
    given: dict[str, Any], fields: dict[str, str], params: type[protocol.Model]
) -> dict[str, Any]:
    """Add the fields of the path, which the body may repeat and not contradict."""
    names = params.wire_names
    complete = {names.get(key, key): value for key, value in given.items()}
    for key, value in fields.items():
        name = names.get(key, key)
        if complete.get(name) not in (None, "", value):
            raise InvalidParamsError.of(name, "is not the one in the URL")
        complete[name] = value
    return complete


def _from_query(query: QueryDict, params: type[protocol.Model]) -> dict[str, Any]:
    """Read the parameters of a query (section 11.5); one that is unknown is ignored."""
    given: dict[str, Any] = {}
    for key, values in query.lists():
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


def _is_flag(annotation: Any) -> bool:
    kinds = get_args(annotation) or (annotation,)
    return any(bool in (kind, *get_args(kind)) for kind in kinds)
