"""The methods of 0.3, each with its operation of 1.0 and its dialect."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from a2a_app.bindings.dialects import Method
from a2a_app.bindings.v03 import params, resources, results
from a2a_app.bindings.v03.cards import card_03, plain_card_03
from a2a_app.bindings.v03.dialect import CardDialect03, Dialect03, Renames
from a2a_app.operations import OPERATIONS

# The fields of 1.0 that have another name in 0.3.
_SENT: Renames = (
    (r"^configuration\.returnImmediately", "configuration.blocking"),
    (r"^configuration\.taskPushNotificationConfig", "configuration.pushNotificationConfig"),
    (r"authentication\.scheme$", "authentication.schemes"),
    (r"^(message\.parts\[\d+\])\.raw", r"\1.file.bytes"),
    (r"^(message\.parts\[\d+\])\.url", r"\1.file.uri"),
    (r"^(message\.parts\[\d+\])\.filename", r"\1.file.name"),
    (r"^(message\.parts\[\d+\])\.mediaType", r"\1.file.mimeType"),
)
_PLAIN_SENT: Renames = (
    *_SENT,
    (r"\.file\.bytes", ".file.fileWithBytes"),
    (r"\.file\.uri", ".file.fileWithUri"),
    (r"\.pushNotificationConfig", ".pushNotification"),
    (r"^message\.parts", "message.content"),
)
_CREATED: Renames = (
    (r"^(id|url|token|authentication)", r"pushNotificationConfig.\1"),
    (r"authentication\.scheme$", "authentication.schemes"),
)
_OF_TASK: Renames = ((r"^id$", "pushNotificationConfigId"), (r"^taskId$", "id"))
_ROLES: Renames = ((r"\bROLE_USER\b", "user"), (r"\bROLE_AGENT\b", "agent"))

_SCHEMA, _PROTO = results.Schema(), results.Proto()


def _method(name: str, operation: str, dialect: Dialect03) -> Method:
    return Method(name, OPERATIONS[operation], dialect)


_SEND = Dialect03(params.send, _SCHEMA.event, _SENT, _ROLES)
_TASK = Dialect03(params.unchanged, _SCHEMA.task)
_PUSH = "tasks/pushNotificationConfig"

RPC_METHODS = {
    method.name: method
    for method in (
        _method("message/send", "SendMessage", _SEND),
        _method("message/stream", "SendStreamingMessage", _SEND),
        _method("tasks/get", "GetTask", _TASK),
        _method("tasks/cancel", "CancelTask", _TASK),
        _method("tasks/resubscribe", "SubscribeToTask", Dialect03(params.unchanged, _SCHEMA.event)),
        _method(
            f"{_PUSH}/set",
            "CreateTaskPushNotificationConfig",
            Dialect03(params.create_push, _SCHEMA.push, _CREATED),
        ),
        _method(
            f"{_PUSH}/get",
            "GetTaskPushNotificationConfig",
            Dialect03(params.of_task, _SCHEMA.push, _OF_TASK),
        ),
        _method(
            f"{_PUSH}/list",
            "ListTaskPushNotificationConfigs",
            Dialect03(params.of_task, _SCHEMA.pushes, _OF_TASK),
        ),
        _method(
            f"{_PUSH}/delete",
            "DeleteTaskPushNotificationConfig",
            Dialect03(params.of_task, _SCHEMA.nothing, _OF_TASK),
        ),
        _method(
            "agent/getAuthenticatedExtendedCard",
            "GetExtendedAgentCard",
            CardDialect03(params.unchanged, card_03),
        ),
    )
}
"""The methods of JSON-RPC (section 7 of 0.3)."""

_PLAIN_SEND = Dialect03(params.plain_send, _PROTO.event, _PLAIN_SENT)
_PLAIN_TASK = Dialect03(params.unchanged, _PROTO.task)
_PLAIN_PUSH = Dialect03(params.plain_create_push, _PROTO.push, _CREATED)

PLAIN_METHODS = {
    method.operation.name: method
    for method in (
        _method("SendMessage", "SendMessage", _PLAIN_SEND),
        _method("SendStreamingMessage", "SendStreamingMessage", _PLAIN_SEND),
        _method("GetTask", "GetTask", _PLAIN_TASK),
        # Only HTTP+JSON has this method (section 3.5.6 of 0.3).
        _method("ListTask", "ListTasks", Dialect03(params.unchanged, _PROTO.tasks)),
        _method("CancelTask", "CancelTask", _PLAIN_TASK),
        _method("TaskSubscription", "SubscribeToTask", Dialect03(params.unchanged, _PROTO.event)),
        _method(
            "CreateTaskPushNotificationConfig", "CreateTaskPushNotificationConfig", _PLAIN_PUSH
        ),
        _method("GetTaskPushNotificationConfig", "GetTaskPushNotificationConfig", _PLAIN_PUSH),
        _method(
            "ListTaskPushNotificationConfig",
            "ListTaskPushNotificationConfigs",
            Dialect03(params.unchanged, _PROTO.pushes),
        ),
        _method(
            "DeleteTaskPushNotificationConfig",
            "DeleteTaskPushNotificationConfig",
            Dialect03(params.unchanged, _PROTO.nothing),
        ),
        _method("GetAgentCard", "GetExtendedAgentCard", CardDialect03(params.unchanged, card_03)),
    )
}
"""The methods of HTTP+JSON, under the names of their operations in 1.0.

Their own names are those of the proto.
"""

# What HTTP+JSON has in the path of its URLs.
_READ_OVER_GRPC: dict[str, Callable[[params.Json], params.Json]] = {
    "GetTask": resources.task_named,
    "CancelTask": resources.task_named,
    "TaskSubscription": resources.task_named,
    "CreateTaskPushNotificationConfig": (
        lambda given: params.plain_create_push(resources.parent_named(given))
    ),
    "ListTaskPushNotificationConfig": resources.parent_named,
    "GetTaskPushNotificationConfig": resources.config_named,
    "DeleteTaskPushNotificationConfig": resources.config_named,
}


def _over_grpc(method: Method) -> Method:
    """Return a method of HTTP+JSON as gRPC has it."""
    dialect: Any = method.dialect
    dialect = replace(dialect, read=_READ_OVER_GRPC.get(method.name, dialect.read))
    if method.name == "GetAgentCard":
        dialect = replace(dialect, write=plain_card_03)
    return replace(method, dialect=dialect)


GRPC_METHODS = {method.name: _over_grpc(method) for method in PLAIN_METHODS.values()}
"""The methods of gRPC, by the names of the proto. It does not have `ListTask`."""
