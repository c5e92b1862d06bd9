"""OpenAPI: what the URLs are, take and give, for readers and for tools."""

import inspect
from typing import Any, TypeAlias, get_type_hints

from django.http import HttpRequest
from django.urls import reverse
from ninja import NinjaAPI
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from a2a_app import protocol
from a2a_app.bindings.rest import MEDIA_TYPES
from a2a_app.bindings.routes import Route
from a2a_app.operations import OPERATIONS, Operation
from a2a_app.protocol import errors

Json: TypeAlias = dict[str, Any]
_REF = "#/components/schemas/{model}"

DESCRIPTION = f"""
The agents of this site, for other agents: the [Agent2Agent protocol](https://a2a-protocol.org).

Each agent has a card, which says what it does and where it is. Its URLs are those of its binding:
one URL for all of JSON-RPC, or one for each operation of HTTP+JSON. Both do the same. Name the
version that you speak in the header `{protocol.VERSION_HEADER}: {protocol.VERSION}`.

A tenant may stand before each route of HTTP+JSON, as in `/a2a/{{slug}}/{{tenant}}/tasks`.

An event of a stream has its number as `id:`. After a broken connection, subscribe to the task with
the last one in the header `Last-Event-ID`, and the stream goes on with the next.

| Reason | HTTP status | JSON-RPC code | Meaning |
| --- | --- | --- | --- |
"""

_HEADERS = [
    (protocol.VERSION_HEADER, "The version of the protocol.", protocol.VERSION),
    (protocol.EXTENSIONS_HEADER, "URIs of extensions to activate, with commas between.", None),
]
_ONCE = (
    protocol.IDEMPOTENCY_HEADER,
    "A name for this message: sent again under it, the message is not taken twice.",
    None,
)
_RESUME = ("Last-Event-ID", "The id of the last event that was seen; go on after it.", None)

_TASK_ID = "01a20827-2a74-7d10-9c1e-5d0f6b7a8c9e"
_CONTEXT_ID = "01a20827-2a72-7b34-8a5f-0c1d2e3f4a5b"
_SAID = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "Hello you"}]}
_STATUS = {"state": "TASK_STATE_COMPLETED", "timestamp": "2026-11-23T11:25:14.250Z"}
_TASK = {"id": _TASK_ID, "contextId": _CONTEXT_ID, "status": _STATUS}
EXAMPLES: dict[type[protocol.Model], Json] = {
    protocol.SendMessageRequest: {"message": _SAID, "configuration": {"historyLength": 10}},
    protocol.SendMessageResponse: {"task": _TASK},
    protocol.StreamResponse: {
        "statusUpdate": {"taskId": _TASK_ID, "contextId": _CONTEXT_ID, "status": _STATUS}
    },
    protocol.Task: _TASK,
    protocol.ListTasksResponse: {
        "tasks": [_TASK], "nextPageToken": "", "pageSize": 50, "totalSize": 1,
    },
}  # fmt: skip  # short members, a few on a line

_STATUS_SCHEMA = {
    "type": "object",
    "description": "An error, as google.rpc.Status (section 11.6).",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "status", "message", "details"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "status": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object", "required": ["@type"]}},
            },
        }
    },
}


class _JsonSchema(GenerateJsonSchema):
    """Schemas of what goes over the wire: without Python's defaults, nulls and titles."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return {"type": "string", "format": "byte"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Api(NinjaAPI):
    """The API, with the schemas of the protocol's objects in its description."""

    def get_root_path(self, path_params: Json) -> str:
        """Give the path that the API's own are below; ninja asks a view that we leave out."""
        page = reverse(f"{self.urls_namespace}:openapi-view", kwargs=path_params)
        return page.removesuffix((self.docs_url or "").lstrip("/"))

    def create_temporal_response(self, request: HttpRequest) -> Any:
        """Give none: our views make their own, and ninja's would be thrown away each time."""
        return None

    def get_openapi_schema(self, **options: Any) -> Any:
        """Describe the API."""
        description = super().get_openapi_schema(**options)
        description["components"]["schemas"].update(schemas())
        return description


def introduction() -> str:
    """Say what the API is, with a table of the errors."""
    rows = [f"| `{e.reason}` | {e.http_status} | {e.code} | {_first_line(e)} |" for e in _ERRORS]
    return DESCRIPTION + "\n".join(rows)


def schemas() -> Json:
    """Give the schema of every object that the operations take and give, and of errors."""
    models = {_result(op) for op in OPERATIONS.values()} | {op.params for op in OPERATIONS.values()}
    named = sorted(models - {protocol.Model}, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation") for model in named], ref_template=_REF, schema_generator=_JsonSchema
    )
    tidied: Json = _tidied(found["$defs"])
    for model, example in EXAMPLES.items():
        tidied[model.__name__]["examples"] = [example]
    return {**tidied, "Status": _STATUS_SCHEMA}


def describe_route(route: Route) -> Json:
    """Describe a route of HTTP+JSON: its parameters, its body, and what it answers."""
    operation = route.method.operation
    described: Json = {
        "summary": operation.name,
        "description": _first_line(operation.unary or operation.streaming),
        "responses": {200: _answer(operation), "default": _ERROR},
        "parameters": _headers(operation),
    }
    if route.verb == "POST":
        described["requestBody"] = {
            "content": _content(MEDIA_TYPES, _ref(operation.params)),
            "required": not _required(operation.params) <= set(route.fields),
        }
    else:
        described["parameters"] += _query(operation.params, set(route.fields))
    return described


def describe_jsonrpc() -> Json:
    """Describe the URL of JSON-RPC: the envelope of a request, and that of an answer."""
    version = {"type": "string", "const": "2.0"}
    request = {
        "type": "object",
        "required": ["jsonrpc", "method"],
        "properties": {
            "jsonrpc": version,
            "id": {"type": ["string", "number", "null"]},
            "method": {"type": "string", "enum": list(OPERATIONS)},
            "params": {
                "type": "object",
                "description": "As the body of the operation's route in HTTP+JSON.",
            },
        },
        "examples": [
            {
                "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
                "params": EXAMPLES[protocol.SendMessageRequest],
            }
        ],
    }  # fmt: skip  # the example is short
    answer = {
        "type": "object",
        "required": ["jsonrpc", "id"],
        "properties": {"jsonrpc": version, "id": {}, "result": {}, "error": {"type": "object"}},
    }
    return {
        "summary": "JSON-RPC",
        "requestBody": {"content": _content(["application/json"], request), "required": True},
        "responses": {
            200: {
                "description": "A result or an error; of a streaming method, events of them.",
                "content": _content(["application/json", "text/event-stream"], answer),
            }
        },
        "parameters": [_header(*header) for header in _HEADERS],
    }


def describe_file() -> Json:
    """Describe where files are: their bytes, of whatever media type."""
    whole = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    return {"responses": {200: {"description": "The file.", "content": whole}, "default": _ERROR}}


def _answer(operation: Operation) -> Json:
    if operation.streaming is not None:
        content = _content(["text/event-stream"], _ref(protocol.StreamResponse))
        return {"description": "Events; the data of each is one of these.", "content": content}
    return {"description": "Done.", "content": _content(MEDIA_TYPES, _ref(_result(operation)))}


def _result(operation: Operation) -> type[protocol.Model]:
    """Give what an operation gives; Model where it gives nothing, or only refuses."""
    if operation.streaming is not None:
        return protocol.StreamResponse
    found: Any = get_type_hints(operation.unary)["return"]
    return found if inspect.isclass(found) and issubclass(found, protocol.Model) else protocol.Model


def _headers(operation: Operation) -> list[Json]:
    own = {protocol.SubscribeToTaskRequest: [_RESUME], protocol.SendMessageRequest: [_ONCE]}
    return [_header(*header) for header in (*_HEADERS, *own.get(operation.params, []))]


def _header(name: str, description: str, example: str | None) -> Json:
    described: Json = {"in": "header", "name": name, "description": description}
    described["schema"] = {"type": "string", **({"examples": [example]} if example else {})}
    return described


def _query(params: type[protocol.Model], in_path: set[str]) -> list[Json]:
    """Describe the fields that a query may give."""
    described = _tidied(params.model_json_schema(ref_template=_REF, schema_generator=_JsonSchema))
    return [
        {"in": "query", "name": wire, "schema": described["properties"][wire]}
        for name, wire in params.wire_names.items()
        if name not in in_path | {"tenant"}
    ]


def _required(model: type[protocol.Model]) -> set[str]:
    return {name for name, field in model.model_fields.items() if field.is_required()}


def _ref(model: type[protocol.Model]) -> Json:
    if model is protocol.Model:
        return {"type": "object"}
    return {"$ref": _REF.format(model=model.__name__)}


def _content(media_types: Any, schema: Json) -> Json:
    return {media_type: {"schema": schema} for media_type in media_types}


def _first_line(subject: Any) -> str:
    return (inspect.getdoc(subject) or "").partition("\n")[0]


def _tidied(value: Any) -> Any:
    """Call the bounds of a number what JSON Schema calls them."""
    if isinstance(value, list):
        return [_tidied(each) for each in value]
    if not isinstance(value, dict):
        return value
    bounds = {"ge": "minimum", "le": "maximum"}
    return {bounds.get(key, key): _tidied(each) for key, each in value.items()}


_ERROR = {
    "description": "An error.",
    "content": _content(MEDIA_TYPES, {"$ref": _REF.format(model="Status")}),
}
_ERRORS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.A2AError) and each is not errors.A2AError
]
