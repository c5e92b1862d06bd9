"""Updates: what may be appended to a task's log."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from a2a_app import protocol

LIVE_INPUT = "urn:a2a-app:live-input:v1"
"""Under this name metadata has what docs/extensions/live-input.md says."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A push notification configuration, checked and ready to be stored (section 4.3.1)."""

    config: protocol.TaskPushNotificationConfig
    host: str
    """The host in its URL."""
    payload: str = ""
    """The name of what is sent, in `push.payloads`."""
    base_url: str = ""
    """The scheme and host that its client reaches, for links to files."""


@dataclass(frozen=True, slots=True)
class MessageKey:
    """The key of a message, by which a repetition of it is recognized (section 3.3.1)."""

    name: str
    """What the client gave, and where it gave it. It is unique for one owner and agent."""
    digest: str
    """The digest of the message's content."""


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How many turns there may be. 0: any number."""

    running: int = 0
    """Of the owner, worked on at once."""
    waiting: int = 0
    """Of the owner, not begun yet."""
    waiting_in_task: int = 0
    """Of the task, not begun yet."""
    queue: str = ""
    """Which of the owner's turns count together: those of an agent, by its slug. Empty: all of the
    agents that have no limits of their own."""
    refuses_when_busy: bool = False
    """Whether a task that is worked on, and asks nothing, takes no message."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is known of the credentials with which a message came, besides whose they are."""

    name: str = ""
    """A name of them that is no secret. Empty: they have none."""
    scopes: tuple[str, ...] | None = None
    """What they are limited to; None: nothing."""
    agents: tuple[str, ...] | None = None
    """The slugs of the agents to which they are limited; None: they are not."""
    handed_on: str = field(default="", repr=False)
    """What the project takes from the request for its agents, sealed. Empty: nothing."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What has become of a question that was open."""

    approval: UUID
    ending: str
    """One of `models.approval.Ending`."""
    choice: str = ""
    comment: str = ""
    decided_as: str = ""
    """One of `models.approval.Decider`; empty: nobody has decided."""
    user_id: int | str | None = None
    """The Django user who has decided, if it was one."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the task's next status tells its clients of it."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """The client sent a message: the task begins, or has one more turn to do."""

    message: protocol.Message
    metadata: dict[str, Any] = field(default_factory=dict)
    accepted_output_modes: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    webhook: Webhook | None = None
    """Where the events after this one are to be sent."""
    trace: dict[str, str] = field(default_factory=dict)
    """The headers that name the trace of the request; empty: it has none."""
    key: MessageKey | None = None
    """Its key; None: it may be sent again."""
    limits: TurnLimits = TurnLimits()
    """How many turns there may be once its own is there."""
    credentials: Credentials = Credentials()
    revision: str = ""
    """That of its agent's code in this process."""
    asked_by: UUID | None = None
    """The remote task of another turn, whose message it is; None: it is no other turn's."""
    resolution: Resolution | None = None
    """What it decides; None: it is no answer to a question that somebody has to decide."""
    only_at: int | None = None
    """The number that a task must have which is stored already, or it is refused; None: any."""


@dataclass(frozen=True, slots=True)
class MessageRead:
    """The turn that is worked on has read the message of the next one, which is part of it then."""

    message_id: str
    after_step: int
    """How many steps the turn had come to before."""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """The task has a new status (section 4.2.1)."""

    state: protocol.TaskState
    message: protocol.Message | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    """The traceback behind a failure. It is stored in the run's row, and no client gets it."""
    only_at: int | None = None
    """The number that the task must have, or it is refused; None: any."""


@dataclass(frozen=True, slots=True)
class ArtifactUpdate:
    """A whole artifact, or a chunk of one (section 4.2.2)."""

    artifact: protocol.Artifact
    append: bool = False
    last_chunk: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Returned:
    """The agent's code has returned: the task is complete, unless it waits or has further turns."""

    metadata: dict[str, Any] = field(default_factory=dict)
    """What the task's next status, if there is one, says besides."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that somebody has to decide."""

    id: UUID
    turn: int
    """The turn that asks."""
    digest: str
    """The digest of all that is asked."""
    number: int
    """How often the turn has asked just this."""
    question: str
    data: Any
    choices: tuple[str, ...]
    permission: str
    """The permission that staff needs to decide it. Empty: the caller decides."""
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent's code has stopped at a question, of which the status before this tells clients.

    A turn that waits for staff is not over. One that waits for its client is, as with any question.
    """

    ask: Ask


@dataclass(frozen=True, slots=True)
class Decided:
    """A question was decided by somebody else than a message, and the turn that asked goes on."""

    resolution: Resolution


@dataclass(frozen=True, slots=True)
class StateSaved:
    """The agent has changed what it remembers of the context."""

    state: dict[str, Any]
    version: int
    """The version at which the state was read."""


@dataclass(frozen=True, slots=True)
class FilesAttached:
    """Parts of the updates beside this one are in files, which become the task's."""

    keys: tuple[UUID, ...]
    size: int = 0
    """How many bytes they have together."""


Update: TypeAlias = (
    MessageReceived
    | MessageRead
    | StatusUpdate
    | ArtifactUpdate
    | Returned
    | Asked
    | Decided
    | StateSaved
    | FilesAttached
)
