"""The HTTP+JSON binding (section 11): a URL and a body in, a result or a status out."""

import json
from typing import Any, get_args

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.bindings.bodies import read_json_object
from a2a_app.bindings.calls import call_of, check_version
from a2a_app.bindings.forms import Form
from a2a_app.bindings.routes import Route
from a2a_app.protocol import InvalidParamsError

MEDIA_TYPES = ("application/a2a+json", "application/json")


class Plain(Form):
    """A result without anything round it, and errors as google.rpc.Status (section 11.6)."""

    def __init__(self, request: HttpRequest) -> None:
        # The first, unless the client says that it would rather have the other.
        self.media_type = request.get_preferred_type(MEDIA_TYPES) or MEDIA_TYPES[0]

    def wrap(self, body: str) -> str:
        """Give a result's JSON as it is."""
        return body

    def wrap_error(self, error: protocol.A2AError) -> str:
        """Write an error; its reason is always there, since many share an HTTP status."""
        info = error.info()
        details = [info, *(detail for detail in error.details() if detail != info)]
        status = {
            "code": error.http_status,
            "status": error.grpc_status,
            "message": error.message,
            "details": details,
        }
        return json.dumps({"error": status})

    def status(self, error: protocol.A2AError) -> int:
        """Give the status of section 5.4."""
        return error.http_status


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
    form = Plain(request)
    return await form.answer(_serve(request, agent, route, fields, form))


async def _serve(
    request: HttpRequest, agent: Agent, route: Route, fields: dict[str, str], form: Plain
) -> HttpResponseBase:
    check_version(request, named_by_method=True)
    operation = route.operation
    if request.method == "POST":
        given = read_json_object(request, MEDIA_TYPES)
    else:
        given = _from_query(request.GET, operation.params)
    call = await call_of(request, agent)
    return await form.perform(operation, call, _with_fields(given, fields, operation.params))


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
