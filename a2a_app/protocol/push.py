"""Push notification configurations (section 4.3)."""

from pydantic import Field

from a2a_app.protocol.base import Model, Params
from a2a_app.protocol.scalars import Count, Name, Text


class AuthenticationInfo(Model):
    """How to authenticate to a webhook (section 4.3.2)."""

    scheme: Name
    credentials: Text = Field("", repr=False)


class TaskPushNotificationConfig(Params):
    """Where to send a task's events (section 4.3.1)."""

    id: Text = ""
    task_id: Text = ""
    url: Name = Field(repr=False)
    token: Text = Field("", repr=False)
    authentication: AuthenticationInfo | None = None


class GetTaskPushNotificationConfigRequest(Params):
    """Parameters of GetTaskPushNotificationConfig (section 3.1.8)."""

    task_id: Name
    id: Name


class DeleteTaskPushNotificationConfigRequest(GetTaskPushNotificationConfigRequest):
    """Parameters of DeleteTaskPushNotificationConfig (section 3.1.10)."""


class ListTaskPushNotificationConfigsRequest(Params):
    """Parameters of ListTaskPushNotificationConfigs (section 3.1.9)."""

    task_id: Name
    page_size: Count = 0
    page_token: Text = ""


class ListTaskPushNotificationConfigsResponse(Model):
    """The result of ListTaskPushNotificationConfigs (section 3.1.9)."""

    configs: list[TaskPushNotificationConfig] = Field(default_factory=list)
    next_page_token: Text = ""
