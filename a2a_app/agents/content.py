"""Content: what an agent's verbs take for a part, and the messages and artifacts made of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from a2a_app.protocol import Artifact, Message, Part, Role
from a2a_app.store.updates import ArtifactUpdate

MAX_ID = 255


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


class ArtifactWriter:
    """Writes one artifact of a turn, a chunk at a time."""

    def __init__(
        self,
        put: Callable[[ArtifactUpdate], Awaitable[None]],
        artifact_id: str,
        about: dict[str, Any],
    ) -> None:
        """Write by `put`; `about` is what the first chunk says besides its parts."""
        if len(artifact_id) > MAX_ID:
            raise ValueError(f"An artifact's id has at most {MAX_ID} characters.")
        self._put = put
        self._id = artifact_id
        self._about = about
        self._begun = False

    def write(self, *content: Content, last: bool = False) -> Awaitable[None]:
        """Append a chunk, of one part for each content; `last` says that no more will come.

        An artifact that never gets a last chunk is closed by the end of the task.
        """
        artifact = self._chunk([as_part(each) for each in content])
        update = ArtifactUpdate(artifact, append=self._begun, last_chunk=last)
        # What an artifact is called is said once.
        self._begun, self._about = True, {}
        return self._put(update)

    def _chunk(self, parts: list[Part]) -> Artifact:
        if not self._begun or not parts:
            return Artifact(artifact_id=self._id, parts=parts, **self._about)
        # The id was checked with the first chunk, and each part as it was made.
        return Artifact.unchecked(
            artifact_id=self._id, name="", description="", parts=parts, metadata={}, extensions=[]
        )
