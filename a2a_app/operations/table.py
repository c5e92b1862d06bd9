"""The table of operations, which every binding serves."""

from a2a_app import protocol
from a2a_app.operations import cards, idempotency, push, tasks
from a2a_app.operations.call import Operation

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(
            "SendMessage", protocol.SendMessageRequest, "send", unary=idempotency.send_message
        ),
        Operation(
            "SendStreamingMessage",
            protocol.SendMessageRequest,
            "send",
            streaming=idempotency.send_streaming_message,
        ),
        Operation("GetTask", protocol.GetTaskRequest, "read", unary=tasks.get_task),
        Operation("ListTasks", protocol.ListTasksRequest, "read", unary=tasks.list_tasks),
        Operation("CancelTask", protocol.CancelTaskRequest, "cancel", unary=tasks.cancel_task),
        Operation(
            "SubscribeToTask",
            protocol.SubscribeToTaskRequest,
            "read",
            streaming=tasks.subscribe_to_task,
        ),
        Operation(
            "CreateTaskPushNotificationConfig",
            protocol.TaskPushNotificationConfig,
            "push",
            unary=push.create_push_config,
        ),
        Operation(
            "GetTaskPushNotificationConfig",
            protocol.GetTaskPushNotificationConfigRequest,
            "push",
            unary=push.get_push_config,
        ),
        Operation(
            "ListTaskPushNotificationConfigs",
            protocol.ListTaskPushNotificationConfigsRequest,
            "push",
            unary=push.list_push_configs,
        ),
        Operation(
            "DeleteTaskPushNotificationConfig",
            protocol.DeleteTaskPushNotificationConfigRequest,
            "push",
            unary=push.delete_push_config,
        ),
        Operation(
            "GetExtendedAgentCard",
            protocol.GetExtendedAgentCardRequest,
            "read",
            unary=cards.get_extended_agent_card,
        ),
    )
}
