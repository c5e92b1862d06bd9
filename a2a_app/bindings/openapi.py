"""The OpenAPI description of the URLs, for people and for tools."""

import inspect
from typing import Any, TypeAlias, get_type_hints

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
_IDEMPOTENCY = (
    protocol.IDEMPOTENCY_HEADER,
    "A name for this message: sent again under it, the message is not taken twice.",
    None,
)
_CURRENT_GENERATION = (
    protocol.CURRENT_GENERATION_HEADER,
    "The generation that was seen; wait until the task is newer. An extension, where it is served.",
    None,
)
_IF_GENERATION_MATCH = (
    protocol.IF_GENERATION_MATCH_HEADER,
    "The generation that the task must have. An extension, where it is served.",
    None,
)
_LAST_EVENT_ID = ("Last-Event-ID", "The id of the last event that was seen; go on after it.", None)

_TASK_ID = "01a20827-2a74-7d10-9c1e-5d0f6b7a8c9e"
_CONTEXT_ID = "01a20827-2a72-7b34-8a5f-0c1d2e3f4a5b"
_MESSAGE = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "Hello you"}]}
_STATUS = {"state": "TASK_STATE_COMPLETED", "timestamp": "2026-11-23T11:25:14.250Z"}
_TASK = {"id": _TASK_ID, "contextId": _CONTEXT_ID, "status": _STATUS}
EXAMPLES: dict[type[protocol.Model], Json] = {
    protocol.SendMessageRequest: {"message": _MESSAGE, "configuration": {"historyLength": 10}},
    protocol.SendMessageResponse: {"task": _TASK},
    protocol.StreamResponse: {
        "statusUpdate": {"taskId": _TASK_ID, "contextId": _CONTEXT_ID, "status": _STATUS}
    },
    protocol.Task: _TASK,
    protocol.ListTasksResponse: {
        "tasks": [_TASK], "nextPageToken": "", "pageSize": 50, "totalSize": 1,
    },
}  # fmt: skip  # a few short members on each line

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
    """The schemas of JSON on the wire, without the defaults, nulls and titles of Python."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return {"type": "string", "format": "byte"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def introduction() -> str:
    """Return the introduction of the description, with a table of the errors."""
    rows = [f"| `{e.reason}` | {e.http_status} | {e.code} | {_first_line(e)} |" for e in _ERRORS]
    return DESCRIPTION + "\n".join(rows)


def schemas() -> Json:
    """Return the schemas of errors, and of the parameters and results of all operations."""
    operations = OPERATIONS.values()
    models = {_result(each) for each in operations} | {each.params for each in operations}
    named = sorted(models - {protocol.Model}, key=lambda model: model.__name__)
    _, schema = models_json_schema(
        [(model, "validation") for model in named], ref_template=_REF, schema_generator=_JsonSchema
    )
    by_name: Json = _with_json_schema_bounds(schema["$defs"])
    for model, example in EXAMPLES.items():
        by_name[model.__name__]["examples"] = [example]
    return {**by_name, "Status": _STATUS_SCHEMA}


def describe_route(route: Route) -> Json:
    """Describe a route of HTTP+JSON: its parameters, its body and its responses."""
    operation = route.method.operation
    described: Json = {
        "summary": operation.name,
        "description": _first_line(operation.unary or operation.streaming),
        "responses": {200: _response(operation), "default": _ERROR},
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
    """Describe the URL of JSON-RPC: the envelopes of requests and of responses."""
    version = {"type": "string", "const": "2.0"}
    request = {
        "type": "object",
        "required": ["jsonrpc", "id", "method"],
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
    response = {
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
                "content": _content(["application/json", "text/event-stream"], response),
            }
        },
        "parameters": [_header(*header) for header in _HEADERS],
    }


def describe_file() -> Json:
    """Describe the URL of a file, which returns bytes of any media type."""
    file = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
    return {"responses": {200: {"description": "The file.", "content": file}, "default": _ERROR}}


def _response(operation: Operation) -> Json:
    if operation.streaming is not None:
        content = _content(["text/event-stream"], _ref(protocol.StreamResponse))
        return {"description": "Events; the data of each is one of these.", "content": content}
    return {"description": "Done.", "content": _content(MEDIA_TYPES, _ref(_result(operation)))}


def _result(operation: Operation) -> type[protocol.Model]:
    """Return the class of an operation's results; Model if they have no members."""
    if operation.streaming is not None:
        return protocol.StreamResponse
    hint: Any = get_type_hints(operation.unary)["return"]
    return hint if inspect.isclass(hint) and issubclass(hint, protocol.Model) else protocol.Model


def _headers(operation: Operation) -> list[Json]:
    further = {
        protocol.GetTaskRequest: [_CURRENT_GENERATION],
        protocol.SubscribeToTaskRequest: [_LAST_EVENT_ID],
        protocol.SendMessageRequest: [_IDEMPOTENCY, _IF_GENERATION_MATCH],
        protocol.CancelTaskRequest: [_IF_GENERATION_MATCH],
    }
    return [_header(*header) for header in (*_HEADERS, *further.get(operation.params, []))]


def _header(name: str, description: str, example: str | None) -> Json:
    described: Json = {"in": "header", "name": name, "description": description}
    described["schema"] = {"type": "string", **({"examples": [example]} if example else {})}
    return described


def _query(params: type[protocol.Model], in_path: set[str]) -> list[Json]:
    """Describe the fields that a query may have."""
    schema = params.model_json_schema(ref_template=_REF, schema_generator=_JsonSchema)
    properties = _with_json_schema_bounds(schema)["properties"]
    return [
        {"in": "query", "name": wire_name, "schema": properties[wire_name]}
        for name, wire_name in params.wire_names.items()
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


def _with_json_schema_bounds(value: Any) -> Any:
    """Replace pydantic's names for the bounds of a number by those of JSON Schema."""
    if isinstance(value, list):
        return [_with_json_schema_bounds(each) for each in value]
    if not isinstance(value, dict):
        return value
    bounds = {"ge": "minimum", "le": "maximum"}
    return {bounds.get(key, key): _with_json_schema_bounds(each) for key, each in value.items()}


_ERROR = {
    "description": "An error.",
    "content": _content(MEDIA_TYPES, {"$ref": _REF.format(model="Status")}),
}
_ERRORS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.A2AError) and each is not errors.A2AError
]
