"""Tasks and their status (sections 4.1.1 and 4.1.2)."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from a2a_app.protocol.base import Model
from a2a_app.protocol.messages import Artifact, Message
from a2a_app.protocol.scalars import Name, Struct, Text, Timestamp, enum_reader
from a2a_app.protocol.states import TaskState


class TaskStatus(Model):
    """A task's state, with the message and the time of its last change (section 4.1.2)."""

    state: Annotated[TaskState, BeforeValidator(enum_reader(TaskState))]
    message: Message | None = None
    timestamp: Timestamp | None = None


class Task(Model):
    """A unit of work (section 4.1.1)."""

    id: Name
    context_id: Text = ""
    status: TaskStatus
    artifacts: list[Artifact] = Field(default_factory=list)
    history: list[Message] = Field(default_factory=list)
    metadata: Struct = Field(default_factory=dict)


class StoredTask(Task):
    """A task with the number of its newest event, which is not written: 1.0 does not have it."""

    generation: int = Field(exclude=True)
