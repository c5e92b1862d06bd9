"""Content: the values that an agent's verbs take, and the messages and artifacts made of them."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import groupby
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from a2a_app.protocol import Artifact, Message, Part, Role
from a2a_app.protocol.scalars import make_storable
from a2a_app.store.updates import ArtifactUpdate

logger = logging.getLogger(__name__)

MAX_ID = 255

# An artifact with more characters than this is not held in memory to be repeated at its end.
MAX_REPEATED = 256 * 1024


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


class WholeContent:
    """What an artifact has by now, held so that its last chunk can repeat it.

    Bytes are not held, since a repetition would store them twice.
    """

    def __init__(self) -> None:
        self._parts: list[Part] | None = []
        self._characters = 0

    def add(self, parts: list[Part]) -> None:
        """Take the parts of the next chunk."""
        if self._parts is None:
            return
        self._characters += sum(len(part.text or part.to_json()) for part in parts)
        if self._characters > MAX_REPEATED or any(part.raw is not None for part in parts):
            self._parts = None
        else:
            self._parts += parts

    def parts(self) -> list[Part]:
        """Return the parts, with neighbouring texts joined; none if they were too much to hold."""
        joined: list[Part] = []
        for is_plain, group in groupby(self._parts or [], key=_is_plain_text):
            parts = list(group)
            joined += [Part(text="".join(part.text or "" for part in parts))] if is_plain else parts
        return joined


def _is_plain_text(part: Part) -> bool:
    return part.text is not None and not (part.metadata or part.filename or part.media_type)


class ArtifactWriter:
    """Writes one artifact of a turn in chunks."""

    def __init__(
        self,
        put: Callable[..., Awaitable[None]],
        artifact_id: str,
        attributes: dict[str, Any],
        report: Callable[[], None],
    ) -> None:
        """Make a writer of one artifact.

        Args:
            put: Appends updates to the task.
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
        self._begun = self._closed = False
        self._whole = WholeContent()

    def write(self, *content: Content, last: bool = False) -> Awaitable[None]:
        """Append a chunk.

        Args:
            *content: The parts of the chunk.
            last: Whether no more chunks will come. It closes the artifact without a repetition.
        """
        parts = [as_part(each, self._report) for each in content]
        artifact = self._chunk(parts)
        update = ArtifactUpdate(artifact, append=self._begun, last_chunk=last)
        self._begun, self._closed = True, last
        if not last:
            self._whole.add(parts)
        return self._put(update)

    def close(self) -> Awaitable[None]:
        """Close the artifact by a last chunk that repeats and replaces it whole.

        Some clients keep only a last chunk. The end of the task closes what is still open in the
        same way. An artifact with bytes in it, or with more than 256 K characters, is not repeated.
        """
        return self._put(*self.last_chunk())

    def last_chunk(self) -> list[ArtifactUpdate]:
        """Return the update that closes the artifact; none if it is closed or not repeated."""
        parts = self._whole.parts()
        if self._closed or not parts:
            return []
        self._closed, self._whole = True, WholeContent()
        artifact = Artifact(artifact_id=self._id, parts=parts, **self._attributes)
        return [ArtifactUpdate(artifact, last_chunk=True)]

    def _chunk(self, parts: list[Part]) -> Artifact:
        if not parts:
            return Artifact(artifact_id=self._id, parts=parts)  # refused
        # Only the first chunk has the name and the other attributes.
        if not self._begun:
            return Artifact(artifact_id=self._id, parts=parts, **self._attributes)
        # The id was checked with the first chunk, and each part as it was made.
        return Artifact.unchecked(
            artifact_id=self._id, name="", description="", parts=parts, metadata={}, extensions=[]
        )
