"""The table of operations, which every binding serves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from a2a_app import protocol
from a2a_app.operations import cards, idempotency, push, tasks
from a2a_app.operations.call import Call
from a2a_app.operations.streams import Stream


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, which has either `unary` or `streaming`."""

    name: str
    """The name in the specification, which is also that of the JSON-RPC method (section 5.3)."""
    params: type[protocol.Params]
    unary: Callable[[Call, Any], Awaitable[protocol.Model]] | None = None
    """Returns the result."""
    streaming: Callable[[Call, Any], Awaitable[Stream]] | None = None
    """Returns a stream that is open, or raises A2AError."""

    def checked_params(self, call: Call, given: dict[str, Any]) -> protocol.Params:
        """Check that the agent has this operation, and check the parameters of a call.

        Args:
            call: The agent, and the caller.
            given: The parameters in JSON of 1.0.

        Raises:
            A2AError: The agent's card does not promise the operation (section 3.3.4).
            InvalidParamsError: A parameter is wrong.
        """
        self._check_capability(call)
        return self.params.from_dict(given)

    def _check_capability(self, call: Call) -> None:
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
