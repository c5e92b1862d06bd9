"""The table of operations: the one list that every binding serves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from a2a_app import protocol
from a2a_app.operations import cards, idempotency, push, tasks
from a2a_app.operations.call import Call
from a2a_app.operations.streams import Stream


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: exactly one of `unary`, which gives its result, and `streaming`."""

    name: str
    """As the specification calls it, and JSON-RPC too (section 5.3)."""
    params: type[protocol.Params]
    unary: Callable[[Call, Any], Awaitable[protocol.Model]] | None = None
    streaming: Callable[[Call, Any], Stream] | None = None

    def check_capability(self, call: Call) -> None:
        """Refuse what the agent's card does not promise (section 3.3.4)."""
        if self.streaming is not None and not call.agent.streaming:
            raise protocol.UnsupportedOperationError("The agent does not stream.")
        if "PushNotification" in self.name and not call.agent.push_notifications:
            raise protocol.PushNotificationNotSupportedError


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("SendMessage", protocol.SendMessageRequest, unary=idempotency.send_message),
        Operation(
            "SendStreamingMessage",
            protocol.SendMessageRequest,
            streaming=idempotency.send_streaming_message,
        ),
        Operation("GetTask", protocol.GetTaskRequest, unary=tasks.get_task),
        Operation("ListTasks", protocol.ListTasksRequest, unary=tasks.list_tasks),
        Operation("CancelTask", protocol.CancelTaskRequest, unary=tasks.cancel_task),
        Operation(
            "SubscribeToTask", protocol.SubscribeToTaskRequest, streaming=tasks.subscribe_to_task
        ),
        Operation(
            "CreateTaskPushNotificationConfig",
            protocol.TaskPushNotificationConfig,
            unary=push.create_push_config,
        ),
        Operation(
            "GetTaskPushNotificationConfig",
            protocol.GetTaskPushNotificationConfigRequest,
            unary=push.get_push_config,
        ),
        Operation(
            "ListTaskPushNotificationConfigs",
            protocol.ListTaskPushNotificationConfigsRequest,
            unary=push.list_push_configs,
        ),
        Operation(
            "DeleteTaskPushNotificationConfig",
            protocol.DeleteTaskPushNotificationConfigRequest,
            unary=push.delete_push_config,
        ),
        Operation(
            "GetExtendedAgentCard",
            protocol.GetExtendedAgentCardRequest,
            unary=cards.get_extended_agent_card,
        ),
    )
}
