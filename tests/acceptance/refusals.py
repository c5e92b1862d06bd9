"""What every server refuses to the client of the official SDK, and how the client reads it."""

from collections.abc import Awaitable, Callable
from typing import Any

from a2a.types import a2a_pb2 as pb
from a2a.utils import errors

from tests.clients.sdk import SdkClient, headers, load_message, new_message
from tests.wire import UNKNOWN_TASK

Refused = tuple[type[errors.A2AError], str]
"""The error that the SDK must raise, and its first words."""

_NO_TASK = (errors.TaskNotFoundError, "Task not found")
_NO_EXTENDED_CARD = (errors.UnsupportedOperationError, "The agent has no extended card")
_INVALID = (errors.InvalidParamsError, "Invalid parameters")
# Over gRPC the SDK names its own version too.
_NO_VERSION = (errors.VersionNotSupportedError, r"Version '(1\.0,)?9\.9' is not served")
_NO_METHOD = (errors.MethodNotFoundError, "There is no method 'NoMethod'")

_PUSH = pb.TaskPushNotificationConfig(
    task_id=UNKNOWN_TASK, id="one", url="https://192.0.43.10/told"
)
_PLAIN = pb.TaskPushNotificationConfig(url="http://example.com/told")
_FUTURE = headers(A2A_Version="9.9")

CALLS: dict[str, tuple[Refused, Callable[[SdkClient], Awaitable[Any]]]] = {
    "getting a task that is nobody's": (_NO_TASK, lambda c: c.get(UNKNOWN_TASK)),
    "getting a task by what is no id": (_NO_TASK, lambda c: c.get("no id")),
    "canceling a task that is nobody's": (_NO_TASK, lambda c: c.cancel(UNKNOWN_TASK)),
    "subscribing to a task that is nobody's": (
        _NO_TASK,
        lambda c: anext(c.subscribe(UNKNOWN_TASK)),
    ),
    "a negative history": (_INVALID, lambda c: c.get(UNKNOWN_TASK, -1)),
    "a page of none": (_INVALID, lambda c: c.list(page_size=0)),
    "a page of less than none": (_INVALID, lambda c: c.list(page_size=-1)),
    "a page that is too large": (_INVALID, lambda c: c.list(page_size=101)),
    "a page token that was made up": (_INVALID, lambda c: c.list(page_token="made up")),
    "an extended card": (
        _NO_EXTENDED_CARD,
        lambda c: c.sdk.get_extended_agent_card(pb.GetExtendedAgentCardRequest()),
    ),
    "creating a push configuration": (
        _NO_TASK,
        lambda c: c.sdk.create_task_push_notification_config(_PUSH),
    ),
    "getting a push configuration": (
        _NO_TASK,
        lambda c: c.sdk.get_task_push_notification_config(
            pb.GetTaskPushNotificationConfigRequest(task_id=UNKNOWN_TASK, id="one")
        ),
    ),
    "listing push configurations": (
        _NO_TASK,
        lambda c: c.sdk.list_task_push_notification_configs(
            pb.ListTaskPushNotificationConfigsRequest(task_id=UNKNOWN_TASK)
        ),
    ),
    "deleting a push configuration": (
        _NO_TASK,
        lambda c: c.sdk.delete_task_push_notification_config(
            pb.DeleteTaskPushNotificationConfigRequest(task_id=UNKNOWN_TASK, id="one")
        ),
    ),
    "a version of the future": (
        _NO_VERSION,
        lambda c: c.sdk.list_tasks(pb.ListTasksRequest(), context=_FUTURE),
    ),
}

# What only JSON-RPC can be asked for: HTTP+JSON has no such URLs.
RPC_CALLS: dict[str, tuple[Refused, Callable[[SdkClient], Awaitable[Any]]]] = {
    "getting a task without an id": (_INVALID, lambda c: c.get("")),
    "a method that is none": (_NO_METHOD, lambda c: c.call("NoMethod")),
}

MESSAGES: dict[str, tuple[Refused, pb.Message, dict[str, Any]]] = {
    "to a task that is nobody's": (_NO_TASK, new_message("hi", task_id=UNKNOWN_TASK), {}),
    "without an id": (_INVALID, new_message("hi", message_id=""), {}),
    "without parts": (_INVALID, new_message(), {}),
    "with an empty part": (_INVALID, new_message(pb.Part()), {}),
    "in the agent's name": (_INVALID, new_message("hi", role=pb.ROLE_AGENT), {}),
    "with a negative history": (_INVALID, load_message(), {"history_length": -1}),
    "with a webhook that is not secure": (
        _INVALID,
        load_message(),
        {"task_push_notification_config": _PLAIN},
    ),
    "in a version of the future": (_NO_VERSION, load_message(), {"context": _FUTURE}),
}
