"""Content: the values that an agent's verbs take, and the messages and artifacts made of them."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from a2a_app.protocol import Artifact, Message, Part, Role
from a2a_app.protocol.scalars import make_storable
from a2a_app.store.updates import ArtifactUpdate

logger = logging.getLogger(__name__)

MAX_ID = 255


Content: TypeAlias = str | Part | Mapping[str, Any]
"""The content of one part. A string becomes text, and a mapping becomes data."""


def clean(content: Any, report: Callable[[], None]) -> Any:
    """Return text or JSON that every database can store, whatever an agent got from its sources.

    An agent should not lose its work for a character of a PDF or a number of a model. A client's
    message with the same content is refused.

    Args:
        content: Text or JSON values.
        report: Called if something had to be replaced: see `protocol.scalars.make_storable`.
    """
    storable = make_storable(content)
    if storable is not content:
        report()
    return storable


def as_part(content: Content, report: Callable[[], None]) -> Part:
    """Return content as a part, cleaned by `clean`. A Part is checked already."""
    match content:
        case Part():
            return content
        case str():
            return Part(text=clean(content, report))
        case _:
            return Part(data=clean(dict(content), report))


def agent_message(
    content: Content,
    *,
    context_id: str,
    task_id: UUID | str = "",
    report: Callable[[], None] | None = None,
) -> Message:
    """Make a message of the agent with one part.

    Args:
        content: The content of its part.
        context_id: The conversation that it belongs to.
        task_id: The task that it belongs to; empty: none.
        report: Called if something of the content had to be replaced; None: that is logged.
    """
    report = report or partial(report_replaced, f"a message of context {context_id}")
    return Message.unchecked(
        message_id=str(uuid4()),
        context_id=context_id,
        task_id=str(task_id),
        role=Role.AGENT,
        parts=[as_part(content, report)],
        metadata={},
        extensions=[],
        reference_task_ids=[],
    )


def report_replaced(place: str) -> None:
    """Log that something an agent said had to be replaced, and where."""
    logger.warning(
        "Characters or numbers that cannot be stored were replaced in %s: "
        "NUL and halves of surrogate pairs by U+FFFD, NaN and Infinity by null.",
        place,
    )


class ArtifactWriter:
    """Writes one artifact of a turn in chunks."""

    def __init__(
        self,
        put: Callable[[ArtifactUpdate], Awaitable[None]],
        artifact_id: str,
        attributes: dict[str, Any],
        report: Callable[[], None],
    ) -> None:
        """Make a writer of one artifact.

        Args:
            put: Appends an update to the task.
            artifact_id: The artifact's id.
            attributes: The artifact's name, description and metadata, for the first chunk.
            report: Called if something had to be replaced: see `clean`.

        Raises:
            ValueError: The id is too long.
        """
        if len(artifact_id) > MAX_ID:
            raise ValueError(f"An artifact's id has at most {MAX_ID} characters.")
        self._put = put
        self._id = artifact_id
        self._attributes = clean(attributes, report)
        self._report = report
        self._begun = False

    def write(self, *content: Content, last: bool = False) -> Awaitable[None]:
        """Append a chunk. An artifact without a last chunk is closed by the end of the task.

        Args:
            *content: The parts of the chunk.
            last: Whether no more chunks will come.
        """
        artifact = self._chunk([as_part(each, self._report) for each in content])
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
