"""Answers and events: what comes of a message, in the words in which code asks for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from a2a_app.agents.extensions import TASK_GENERATIONS
from a2a_app.protocol import (
    Artifact,
    Message,
    Part,
    SendMessageResponse,
    StreamResponse,
    Task,
    TaskState,
    TaskStatus,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a message, or to a question about a task: a task, or a message without one."""

    response: StreamResponse
    """The object of the protocol."""

    @classmethod
    def of(cls, found: Task | Message | SendMessageResponse) -> "Answer":
        """Make an answer of an object of the protocol."""
        match found:
            case Task():
                return cls(StreamResponse.of(task=found))
            case Message():
                return cls(StreamResponse.of(message=found))
            case _:
                return cls(StreamResponse.of(task=found.task, message=found.message))

    @property
    def task(self) -> Task | None:
        """The task, if it is one."""
        return self.response.task

    @property
    def message(self) -> Message | None:
        """What the agent says: the message without a task, or that of the status."""
        if self.response.message is not None:
            return self.response.message
        return self.status.message if self.status is not None else None

    @property
    def status(self) -> TaskStatus | None:
        """The task's status, where it is told."""
        if self.response.task is not None:
            return self.response.task.status
        update = self.response.status_update
        return update.status if update is not None else None

    @property
    def state(self) -> TaskState | None:
        """The task's state, where it is told."""
        return self.status.state if self.status is not None else None

    @property
    def artifacts(self) -> list[Artifact]:
        """The artifacts of the task, or the chunk of one."""
        if self.response.task is not None:
            return self.response.task.artifacts
        update = self.response.artifact_update
        return [update.artifact] if update is not None else []

    @property
    def parts(self) -> list[Part]:
        """The parts of the artifacts; where there are none, those of the message."""
        found = [part for artifact in self.artifacts for part in artifact.parts]
        if not found and self.message is not None:
            return self.message.parts
        return found

    @property
    def text(self) -> str:
        """The text of the parts, joined as it came."""
        return "".join(part.text for part in self.parts if part.text is not None)

    @property
    def data(self) -> list[Any]:
        """The data of the parts that are data."""
        return [part.data for part in self.parts if part.has_data]

    @property
    def task_id(self) -> str:
        """The task's id; empty where there is no task."""
        return self._id("id", "task_id")

    @property
    def context_id(self) -> str:
        """The id of the conversation."""
        return self._id("context_id", "context_id")

    @property
    def generation(self) -> int | None:
        """The generation of the task, or that of the event; None: the agent does not tell."""
        response = self.response
        found = response.task or response.status_update or response.artifact_update
        said = found.metadata.get(TASK_GENERATIONS.uri) if found is not None else None
        number = said.get("generation") if isinstance(said, dict) else None
        # What came by way of protobuf has only floats.
        return int(number) if isinstance(number, int | float) else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes before another message: the task has ended, or asks."""
        state = self.state
        if state is None:
            return self.response.message is not None
        return state.is_terminal or state.is_interrupted

    def _id(self, of_task: str, of_others: str) -> str:
        response = self.response
        if response.task is not None:
            return str(getattr(response.task, of_task))
        other = response.message or response.status_update or response.artifact_update
        return str(getattr(other, of_others))


@dataclass(frozen=True, slots=True)
class Event(Answer):
    """One event of a stream: a task, a message, a change of its status, or a chunk."""

    number: int | None = None
    """The number of the event in the task's log; None: the server does not tell."""


def text_of(events: Iterable[Event]) -> str:
    """Return the text that a stream has brought, as its artifacts have it in the end."""
    texts: dict[str, str] = {}
    for event in events:
        update = event.response.artifact_update
        for artifact in event.artifacts:
            # A chunk that is not appended replaces what came before it.
            before = texts.get(artifact.artifact_id, "") if update and update.append else ""
            said = (part.text for part in artifact.parts if part.text is not None)
            texts[artifact.artifact_id] = before + "".join(said)
    return "".join(texts.values())
