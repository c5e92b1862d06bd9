"""Content: what an agent's verbs take for a part, and the message that is made of one."""

from collections.abc import Mapping
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from a2a_app.protocol import Message, Part, Role

Content: TypeAlias = str | Part | Mapping[str, Any]
"""A string is text, a mapping is data, a Part is itself."""


def as_part(content: Content) -> Part:
    """Make a part of a string, of JSON data, or of a part."""
    match content:
        case Part():
            return content
        case str():
            return Part(text=content)
        case _:
            return Part(data=dict(content))


def agent_message(content: Content, *, context_id: str, task_id: UUID | str = "") -> Message:
    """Make a message of the agent's, of one part; without a task id it belongs to no task."""
    return Message.unchecked(
        message_id=str(uuid4()),
        context_id=context_id,
        task_id=str(task_id),
        role=Role.AGENT,
        parts=[as_part(content)],
        metadata={},
        extensions=[],
        reference_task_ids=[],
    )
