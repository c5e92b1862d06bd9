"""Content: the values that an agent's verbs take, and the messages and artifacts made of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from django.utils.functional import Promise

from a2a_app.agents.values import (
    FILES,
    READ,
    Data,
    FileContent,
    as_json,
    file_part,
    unsayable,
    with_files_read,
)
from a2a_app.protocol import Artifact, Message, Part, Role
from a2a_app.protocol.messages import join_chunks
from a2a_app.protocol.scalars import make_storable
from a2a_app.store.updates import ArtifactUpdate

TEXTS = (str, Promise)  # a Promise is a text that is translated late
logger = logging.getLogger(__name__)

MAX_ID = 255

# An artifact with more characters than this is not held in memory to be repeated at its end.
MAX_REPEATED = 256 * 1024


Content: TypeAlias = str | Promise | Part | Message | FileContent | Data
"""What an agent may say: text, data, a file, or a part as it is; or one message, alone."""


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


def as_parts(contents: Sequence[Content], report: Callable[[], None]) -> list[Part]:
    """Return contents as parts: none for an empty text, and for a list of parts all of them.

    Args:
        contents: The contents. What is not checked already is cleaned: see `values.clean`.
        report: Called if something had to be replaced.

    Raises:
        TypeError: One of them is nothing that an agent can say.
    """
    parts: list[Part] = []
    for content in contents:
        if isinstance(content, TEXTS):
            text = clean(str(content) if isinstance(content, Promise) else content, report)
            if text:
                parts.append(Part(text=text))
        elif isinstance(content, Part):
            parts.append(content)
        elif isinstance(content, FILES):
            parts.append(file_part(content))
        elif isinstance(content, list | tuple) and any(
            isinstance(each, Part | Message) for each in content
        ):
            parts += as_parts(content, report)
        else:
            parts.append(Part(data=clean(as_json(content, report), report)))
    return parts


def must_be_read(contents: Sequence[Any]) -> bool:
    """Tell whether there are files among contents whose reading would block an event loop here."""
    for each in contents:
        if isinstance(each, READ):
            break
    else:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # this is an agent's own thread
        return False
    return True


def message_alone(contents: Sequence[Content]) -> Message | None:
    """Return the message, if the contents are one message and nothing else.

    Raises:
        TypeError: It is one in the role of the user.
    """
    message = contents[0] if len(contents) == 1 else None
    if not isinstance(message, Message):
        return None
    if message.role is not Role.AGENT:
        raise unsayable(message, f" of {message.role.value}: it speaks as ROLE_AGENT")
    return message


def agent_message(
    *contents: Content,
    context_id: str,
    task_id: UUID | str = "",
    report: Callable[[], None] | None = None,
) -> Message | None:
    """Make a message of the agent.

    Args:
        *contents: The contents of its parts; or one message, which keeps all but its place.
        context_id: The conversation that it belongs to.
        task_id: The task that it belongs to; empty: none.
        report: Called if something of the contents had to be replaced; None: that is logged.

    Returns:
        The message; None where the contents are nothing but empty texts.

    Raises:
        TypeError: The contents are nothing that an agent can say.
    """
    place = {"context_id": context_id, "task_id": str(task_id)}
    said = message_alone(contents)
    if said is not None:
        return said.model_copy(update=place)
    report = report or partial(report_replaced, f"a message of context {context_id}")
    parts = as_parts(contents, report)
    if not parts:
        return None
    return Message.unchecked(
        message_id=str(uuid4()),
        **place,
        role=Role.AGENT,
        parts=parts,
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


def _text_part(text: str) -> Part:
    return Part(text=text)


class WholeContent:
    """What an artifact has by now, held so that its last chunk can repeat it.

    Bytes are not held, since a repetition would store them twice.
    """

    def __init__(self) -> None:
        self._chunks: list[list[Part]] | None = []
        self._characters = 0

    def add(self, parts: list[Part]) -> None:
        """Take the parts of the next chunk."""
        if self._chunks is None:
            return
        self._characters += sum(len(part.text or part.to_json()) for part in parts)
        if self._characters > MAX_REPEATED or any(part.raw is not None for part in parts):
            self._chunks = None
        else:
            self._chunks.append(parts)

    def parts(self) -> list[Part]:
        """Return the parts, as the artifact has them; none if they were too much to hold."""
        return join_chunks(self._chunks or [], lambda part: part.plain_text, _text_part)


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

    def write(self, *contents: Content, last: bool = False) -> Awaitable[None]:
        """Append a chunk. Without any content but empty texts there is none.

        Args:
            *contents: The parts of the chunk; or one message, whose parts, metadata and extensions
                become the artifact's.
            last: Whether no more chunks will come. It closes the artifact without a repetition.

        Raises:
            TypeError: The contents are nothing that an agent can say.
        """
        if not contents:
            raise TypeError("A chunk has at least one content.")
        if must_be_read(contents):
            return self._read_and_write(contents, last)
        message = message_alone(contents)
        parts = as_parts(contents, self._report) if message is None else message.parts
        attributes = {} if message is None else self._take_attributes(message)
        if last and self._begun and not parts:
            parts = [_text_part("")]  # a chunk has a part, and one has to say that it is the last
        updates = []
        if parts:
            chunk = self._chunk(parts, attributes)
            updates = [ArtifactUpdate(chunk, append=self._begun, last_chunk=last)]
            self._begun = True
        if not last:
            self._whole.add(parts)
        self._closed = last
        return self._put(*updates)

    async def _read_and_write(self, contents: Sequence[Content], last: bool) -> None:
        await self.write(*await with_files_read(contents), last=last)

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

    def _take_attributes(self, message: Message) -> dict[str, Any]:
        """Add a message's metadata and extensions to the artifact's, and return them."""
        if message.reference_task_ids:
            raise unsayable(message, " with references in an artifact, which has no place for them")
        ours = self._attributes
        extensions = dict.fromkeys([*ours.get("extensions", ()), *message.extensions])
        self._attributes = {
            **ours,
            "metadata": {**ours.get("metadata", {}), **message.metadata},
            "extensions": list(extensions),
        }
        return {"metadata": message.metadata, "extensions": message.extensions}

    def _chunk(self, parts: list[Part], attributes: dict[str, Any]) -> Artifact:
        # Only the first chunk has the name and the other attributes.
        if not self._begun:
            return Artifact(artifact_id=self._id, parts=parts, **self._attributes)
        # The id was checked with the first chunk, and each part as it was made.
        return Artifact.unchecked(
            artifact_id=self._id,
            name="",
            description="",
            parts=parts,
            metadata=attributes.get("metadata", {}),
            extensions=attributes.get("extensions", []),
        )
