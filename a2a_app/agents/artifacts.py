"""ArtifactWriter: an artifact that grows."""

from collections.abc import Awaitable, Callable

from a2a_app import protocol
from a2a_app.agents.content import Content, as_part
from a2a_app.store.updates import ArtifactUpdate


class ArtifactWriter:
    """Writes one artifact of a turn, a chunk at a time."""

    def __init__(
        self, put: Callable[[ArtifactUpdate], Awaitable[None]], artifact: protocol.Artifact
    ) -> None:
        self._put = put
        self._artifact = artifact
        self._begun = False

    def write(self, *content: Content, last: bool = False) -> Awaitable[None]:
        """Append a chunk, of one part for each content; `last` says that no more will come.

        An artifact that never gets a last chunk is closed by the end of the task.
        """
        parts = [as_part(each) for each in content]
        if not parts:
            raise ValueError("A chunk of an artifact has at least one part.")
        artifact = self._artifact.model_copy(update={"parts": parts})
        update = ArtifactUpdate(artifact, append=self._begun, last_chunk=last)
        self._begun = True
        # Name and description are said once; a later chunk carries what is new.
        self._artifact = protocol.Artifact.model_construct(artifact_id=artifact.artifact_id)
        return self._put(update)
