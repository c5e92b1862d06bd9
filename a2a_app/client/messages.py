"""The messages that a client sends."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias, TypedDict, Unpack
from uuid import uuid4

from a2a_app.agents.answers import Answer
from a2a_app.agents.content import Content, as_parts, report_replaced
from a2a_app.protocol import Message, Part, Role, SendMessageConfiguration, SendMessageRequest

Said: TypeAlias = Content | Message | Sequence[Content]
"""What may be sent: a text, data, a part, several of these, or a whole message."""


class Sending(TypedDict, total=False):
    """How something is sent."""

    task: Answer | str
    """The task that it continues, or an answer that has one. Without it: a new task."""
    context_id: str
    """The conversation that it belongs to. Without it: that of the task, or a new one."""
    metadata: dict[str, Any]
    """Metadata of the request."""
    idempotency_key: str
    """The key under which the message may be sent again. Without it: a new one."""
    return_immediately: bool
    """Whether not to wait until the task ends, or asks for something."""
    history_length: int
    """How many messages the answer's history has at most. Without it: all."""
    accepted_output_modes: Sequence[str]
    """The media types that the client would like to get."""
    if_generation: Answer | int
    """The generation that the task must have, or that of an answer. If it has another one, nothing
    is sent, and TaskGenerationMismatchError is raised."""


def request_to_send(said: Said, **how: Unpack[Sending]) -> SendMessageRequest:
    """Return the request that sends something."""
    configuration = SendMessageConfiguration(
        accepted_output_modes=list(how.get("accepted_output_modes", ())),
        history_length=how.get("history_length"),
        return_immediately=how.get("return_immediately", False),
    )
    return SendMessageRequest(
        message=said if isinstance(said, Message) else _message(said, how),
        configuration=configuration,
        metadata=how.get("metadata", {}),
    )


def _message(said: Any, how: Sending) -> Message:
    contents = said if isinstance(said, list | tuple) else [said]
    report = partial(report_replaced, "a message that is sent")
    return Message(
        message_id=str(uuid4()),
        role=Role.USER,
        parts=as_parts(contents, report) or [Part(text="")],
        task_id=id_of(how.get("task", "")),
        context_id=how.get("context_id", ""),
    )


def id_of(task: Answer | str) -> str:
    """Return the id of a task, by itself or by an answer that has it."""
    return task.task_id if isinstance(task, Answer) else task


def generation_of(known: Answer | int | None) -> int | None:
    """Return a generation, by itself or by an answer that says it; None where none is meant.

    Raises:
        ValueError: The answer does not say it.
    """
    if not isinstance(known, Answer):
        return known
    if known.generation is None:
        raise ValueError("The answer says no generation: make the client with generations=True.")
    return known.generation
