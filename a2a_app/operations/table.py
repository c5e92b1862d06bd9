"""The table of operations, which every binding serves."""

from a2a_app import protocol
from a2a_app.operations import cards, idempotency, push, tasks
from a2a_app.operations.call import Operation

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
