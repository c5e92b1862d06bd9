"""Messages and artifacts, and the parts they are made of (sections 4.1.4 to 4.1.7)."""

from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from a2a_app.protocol.base import Model
from a2a_app.protocol.scalars import (
    MAX_ITEMS,
    Bytes,
    Name,
    Struct,
    Text,
    Texts,
    Value,
    at_most,
    enum_reader,
)
from a2a_app.protocol.states import Role

P = TypeVar("P")


class _Unset:
    """The type of UNSET, which stands for data that is not given. None does not: null is data."""

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        # In a copy of a part, or one that was pickled, `data is UNSET` must hold as before.
        return "UNSET"


UNSET = _Unset()


class Part(Model):
    """A piece of content: exactly one of text, raw bytes, a URL or data (section 4.1.6)."""

    null_is_a_value: ClassVar[frozenset[str]] = frozenset({"data"})

    text: Text | None = None
    raw: Bytes | None = None
    url: Text | None = None
    # Left out of every form of it, however it is written: no reader knows UNSET.
    data: Value = Field(UNSET, exclude_if=lambda data: data is UNSET)
    metadata: Struct = Field(default_factory=dict)
    filename: Text = ""
    media_type: Text = ""

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        given = (self.text is not None, self.raw is not None, self.url is not None, self.has_data)
        if given.count(True) != 1:
            found = " and ".join(compress(("text", "raw", "url", "data"), given)) or "none of them"
            raise ValueError(f"must have exactly one of text, raw, url and data; it has {found}")
        return self

    @classmethod
    def unchecked_from_dict(cls, value: dict[str, Any]) -> "Part":
        """Make a part from the JSON values of a part, without checking them again."""
        return cls.unchecked(
            text=value.get("text"),
            raw=b64decode(value["raw"]) if "raw" in value else None,
            url=value.get("url"),
            data=value.get("data", UNSET),
            metadata=value.get("metadata", {}),
            filename=value.get("filename", ""),
            media_type=value.get("mediaType", ""),
        )

    @property
    def has_data(self) -> bool:
        """Whether the content is data. The data itself may be null."""
        return self.data is not UNSET

    @property
    def content_type(self) -> str:
        """Its media type, in lower case and without parameters; empty if unknown.

        Text is text/plain and data is application/json, unless the part says otherwise. A file
        without a media type may be anything.
        """
        if self.media_type:
            return self.media_type.partition(";")[0].strip().lower()
        if self.text is not None:
            return "text/plain"
        return "application/json" if self.has_data else ""

    @property
    def plain_text(self) -> str | None:
        """Its text, if it is nothing but text: without metadata, name or media type."""
        return None if self.metadata or self.filename or self.media_type else self.text


def plain_text_of(part: dict[str, Any]) -> str | None:
    """Return the `plain_text` of a part in JSON."""
    return part.get("text") if len(part) == 1 else None


def join_chunks(
    chunks: Iterable[Sequence[P]],
    plain_text: Callable[[P], str | None],
    part_of: Callable[[str], P],
) -> list[P]:
    """Return the parts of an artifact that came in chunks.

    Text goes on from chunk to chunk: where one ends with plain text and the next begins with it,
    both are one part. Parts that came in one chunk stay apart.

    Args:
        chunks: The parts of each chunk.
        plain_text: Returns the text of a part that is nothing else; None for any other part.
        part_of: Makes a part of text.
    """
    parts: list[P] = []
    texts: list[str] = []  # of the newest part, as long as it may grow
    for chunk in chunks:
        for place, part in enumerate(chunk):
            text = plain_text(part)
            if text is not None and texts and not place:
                texts.append(text)
                continue
            if len(texts) > 1:
                parts[-1] = part_of("".join(texts))
            parts.append(part)
            texts = [] if text is None else [text]
    if len(texts) > 1:
        parts[-1] = part_of("".join(texts))
    return parts


def _not_unspecified(role: Role) -> Role:
    if role is Role.UNSPECIFIED:
        raise ValueError("must say who speaks: ROLE_USER or ROLE_AGENT")
    return role


class Message(Model):
    """Something said by the client or the agent (section 4.1.4)."""

    message_id: Name
    context_id: Text = ""
    task_id: Text = ""
    role: Annotated[Role, BeforeValidator(enum_reader(Role)), AfterValidator(_not_unspecified)]
    parts: Annotated[list[Part], Field(min_length=1), at_most(MAX_ITEMS, "max_parts")]
    metadata: Struct = Field(default_factory=dict)
    extensions: Texts = Field(default_factory=list)
    reference_task_ids: Annotated[list[Text], at_most(MAX_ITEMS, "max_references")] = Field(
        default_factory=list
    )

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        return "\n".join(part.text for part in self.parts if part.text is not None)


class Artifact(Model):
    """Something a task produced (section 4.1.7)."""

    artifact_id: Name
    name: Text = ""
    description: Text = ""
    parts: list[Part] = Field(min_length=1)
    metadata: Struct = Field(default_factory=dict)
    extensions: list[Text] = Field(default_factory=list)
