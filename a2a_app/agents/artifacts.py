"""ArtifactWriter: an artifact that grows."""

from collections.abc import Awaitable, Callable
from typing import Any

from a2a_app.agents.content import Content, as_part
from a2a_app.protocol import Artifact, Part
from a2a_app.store.updates import ArtifactUpdate

MAX_ID = 255


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
