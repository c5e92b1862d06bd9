"""The events of a task, and the items of streams and answers (sections 3.2.3 and 4.2)."""

from pydantic import Field

from a2a_app.protocol.base import Model, OneOf
from a2a_app.protocol.messages import Artifact, Message
from a2a_app.protocol.scalars import Flag, Name, Struct, Text
from a2a_app.protocol.tasks import Task, TaskStatus


class TaskStatusUpdateEvent(Model):
    """A new status of a task (section 4.2.1)."""

    task_id: Name
    context_id: Text
    status: TaskStatus
    metadata: Struct = Field(default_factory=dict)


class TaskArtifactUpdateEvent(Model):
    """A new artifact of a task, or one more chunk of one (section 4.2.2)."""

    task_id: Name
    context_id: Text
    artifact: Artifact
    append: Flag = False
    last_chunk: Flag = False
    metadata: Struct = Field(default_factory=dict)


class StreamResponse(OneOf):
    """One event of a stream (section 3.2.3): exactly one of the four."""

    task: Task | None = None
    message: Message | None = None
    status_update: TaskStatusUpdateEvent | None = None
    artifact_update: TaskArtifactUpdateEvent | None = None


class SendMessageResponse(OneOf):
    """The result of SendMessage (section 3.1.1): a task, or a message where none was needed."""

    task: Task | None = None
    message: Message | None = None
