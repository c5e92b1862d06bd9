"""The parameters and results of the operations on messages, tasks and cards (section 3.1)."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from a2a_app.protocol.base import Model, Params
from a2a_app.protocol.messages import Message
from a2a_app.protocol.push import TaskPushNotificationConfig
from a2a_app.protocol.scalars import (
    Count,
    Flag,
    Int32,
    Name,
    Struct,
    Text,
    Texts,
    Timestamp,
    enum_reader,
)
from a2a_app.protocol.states import TaskState
from a2a_app.protocol.tasks import Task


class SendMessageConfiguration(Model):
    """How a client wants its message to be answered (section 3.2.2)."""

    accepted_output_modes: Texts = Field(default_factory=list)
    task_push_notification_config: TaskPushNotificationConfig | None = None
    history_length: Count | None = None
    return_immediately: Flag = False


class SendMessageRequest(Params):
    """Parameters of SendMessage and SendStreamingMessage (section 3.2.1)."""

    message: Message
    configuration: SendMessageConfiguration | None = None
    metadata: Struct = Field(default_factory=dict)


class GetTaskRequest(Params):
    """Parameters of GetTask (section 3.1.3)."""

    id: Name
    history_length: Count | None = None


class ListTasksRequest(Params):
    """Parameters of ListTasks (section 3.1.4)."""

    context_id: Text = ""
    status: Annotated[TaskState, BeforeValidator(enum_reader(TaskState))] = TaskState.UNSPECIFIED
    page_size: Annotated[Int32, Field(ge=1, le=100)] | None = None
    page_token: Text = ""
    history_length: Count | None = None
    status_timestamp_after: Timestamp | None = None
    include_artifacts: Flag | None = None


class ListTasksResponse(Model):
    """The result of ListTasks (section 3.1.4); its members are written also where empty."""

    tasks: list[Task]
    next_page_token: Text
    page_size: Int32
    total_size: Int32


class CancelTaskRequest(Params):
    """Parameters of CancelTask (section 3.1.5)."""

    id: Name
    metadata: Struct = Field(default_factory=dict)


class SubscribeToTaskRequest(Params):
    """Parameters of SubscribeToTask (section 3.1.6)."""

    id: Name


class GetExtendedAgentCardRequest(Params):
    """Parameters of GetExtendedAgentCard (section 3.1.11)."""
