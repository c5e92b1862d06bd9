"""Content: the values that an agent's verbs take, and the messages and artifacts made of them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from a2a_app.protocol import Artifact, Message, Part, Role
from a2a_app.store.updates import ArtifactUpdate

MAX_ID = 255


Content: TypeAlias = str | Part | Mapping[str, Any]
"""The content of one part. A string becomes text, and a mapping becomes data."""


def as_part(content: Content) -> Part:
    """Return content as a part."""
    match content:
        case Part():
            return content
        case str():
            return Part(text=content)
        case _:
            return Part(data=dict(content))


def agent_message(content: Content, *, context_id: str, task_id: UUID | str = "") -> Message:
    """Make a message of the agent with one part. Without a task id it belongs to no task."""
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


class ArtifactWriter:
    """Writes one artifact of a turn in chunks."""

    def __init__(
        self,
        put: Callable[[ArtifactUpdate], Awaitable[None]],
        artifact_id: str,
        attributes: dict[str, Any],
    ) -> None:
        """Make a writer of one artifact.

        Args:
            put: Appends an update to the task.
            artifact_id: The artifact's id.
            attributes: The artifact's name, description and metadata, for the first chunk.

        Raises:
            ValueError: The id is too long.
        """
        if len(artifact_id) > MAX_ID:
            raise ValueError(f"An artifact's id has at most {MAX_ID} characters.")
        self._put = put
        self._id = artifact_id
        self._attributes = attributes
        self._begun = False

    def write(self, *content: Content, last: bool = False) -> Awaitable[None]:
        """Append a chunk. An artifact without a last chunk is closed by the end of the task.

        Args:
            *content: The parts of the chunk.
            last: Whether no more chunks will come.
        """
        artifact = self._chunk([as_part(each) for each in content])
        update = ArtifactUpdate(artifact, append=self._begun, last_chunk=last)
        # Only the first chunk has the name and the other attributes.
        self._begun, self._attributes = True, {}
        return self._put(update)

    def _chunk(self, parts: list[Part]) -> Artifact:
        if not self._begun or not parts:
            return Artifact(artifact_id=self._id, parts=parts, **self._attributes)
        # The id was checked with the first chunk, and each part as it was made.
        return Artifact.unchecked(
            artifact_id=self._id, name="", description="", parts=parts, metadata={}, extensions=[]
        )
