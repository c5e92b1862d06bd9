"""Updates: what may be appended to a task's log."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from a2a_app import protocol


@dataclass(frozen=True, slots=True)
class Webhook:
    """A push notification configuration, checked and ready to be stored (section 4.3.1)."""

    config: protocol.TaskPushNotificationConfig
    host: str
    """The URL's."""
    payload: str = ""
    """The name of what is sent: see `push.payloads`."""
    base_url: str = ""
    """The scheme and host that its client reaches, for links."""


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What a message is known by, so that it is not taken twice (section 3.3.1)."""

    name: str
    """The owner's own for this agent: where it is from, and what the client gave."""
    digest: str
    """Of what is said."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The client sent a message: the task begins, or has one more turn to do."""

    message: protocol.Message
    metadata: dict[str, Any] = field(default_factory=dict)
    accepted_output_modes: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    webhook: Webhook | None = None
    """Where the events after this one are to be sent."""
    key: MessageKey | None = None
    """What it is known by; None: it may be sent again."""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """The task's status is now this one (section 4.2.1)."""

    state: protocol.TaskState
    message: protocol.Message | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    """The traceback behind a failure: for the run's row, never for a client."""


@dataclass(frozen=True, slots=True)
class ArtifactUpdate:
    """A whole artifact, or a chunk of one (section 4.2.2)."""

    artifact: protocol.Artifact
    append: bool = False
    last_chunk: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Returned:
    """The agent's code has returned: the task is complete, unless it asked or more is to answer."""


@dataclass(frozen=True, slots=True)
class StateSaved:
    """The agent changed what it remembers of the context."""

    state: dict[str, Any]
    version: int
    """The version it was read at."""


@dataclass(frozen=True, slots=True)
class FilesAttached:
    """Parts of the updates that come with this are in files, which are now the task's."""

    keys: tuple[UUID, ...]


Update: TypeAlias = (
    MessageReceived | StatusUpdate | ArtifactUpdate | Returned | StateSaved | FilesAttached
)
