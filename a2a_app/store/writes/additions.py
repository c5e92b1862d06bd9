"""Additions: what a change adds to a task besides events."""

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from a2a_app import protocol
from a2a_app.store.updates import MessageReceived


class NewMessage(NamedTuple):
    """A message that a batch stores: the key of its row, and the event that it comes with."""

    key: UUID
    seq: int
    message: protocol.Message


class ReadTurn(NamedTuple):
    """A turn whose message the turn before it has read, and after how many steps."""

    number: int
    after_step: int


class NewTurn(NamedTuple):
    """A turn that a batch begins: the key of its message's row, its number, and what was sent."""

    message_key: UUID
    number: int
    received: MessageReceived


@dataclass(slots=True)
class ArtifactChange:
    """What a batch does to one artifact."""

    first_seq: int
    begins: bool
    """Whether the artifact begins in this batch; else its earlier chunks are in the log."""
    chunks: list[protocol.Artifact] = field(default_factory=list)
    last_seq: int | None = None
