"""The projection: what an update makes of a task. Pure, so that its rules can be read and tested.

Transitions: a terminal state is the last (R3); every other state may follow any other, but only a
message of the client leads to SUBMITTED.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from a2a_app import protocol
from a2a_app.models.keys import new_key
from a2a_app.store.head import Head, RunKey
from a2a_app.store.log import Event
from a2a_app.store.refusals import RunLostError, TaskEndedError, UnknownArtifactError
from a2a_app.store.updates import (
    ArtifactUpdate,
    FilesKept,
    MessageReceived,
    Returned,
    StateSaved,
    StatusUpdate,
    Update,
)


@dataclass(slots=True)
class ArtifactChange:
    """What a batch does to one artifact."""

    first_seq: int
    begins: bool
    """Whether the artifact begins in this batch; else its earlier chunks are in the log."""
    chunks: list[protocol.Artifact] = field(default_factory=list)
    last_seq: int | None = None


@dataclass(slots=True)
class Change:
    """What a batch of updates does to a task: the rows to write, in terms of the protocol."""

    before: Head
    head: Head
    at: datetime
    run: RunKey | None
    events: list[Event] = field(default_factory=list)
    messages: list[tuple[UUID, int, protocol.Message]] = field(default_factory=list)
    turns: list[tuple[UUID, int, MessageReceived]] = field(default_factory=list)
    artifacts: dict[str, ArtifactChange] = field(default_factory=dict)
    status_message: UUID | None = None
    status_changed: bool = False
    returned: bool = False
    error: str = ""
    saved: StateSaved | None = None
    files: tuple[UUID, ...] = ()

    @property
    def ends_task(self) -> bool:
        """Whether the task is over with this batch."""
        return self.head.state.is_terminal

    @property
    def ends_run(self) -> bool:
        """Whether the run that writes this batch is over with it."""
        return self.ends_task or self.returned


def project(head: Head, updates: Sequence[Update], *, run: RunKey | None, at: datetime) -> Change:
    """Work out what the updates, in order, make of the task; raises Refused and changes nothing."""
    change = Change(before=head, head=head, at=at, run=run)
    for update in updates:
        if change.head.state.is_terminal and not isinstance(update, Returned):
            raise TaskEndedError(change.head.state)
        match update:
            case StatusUpdate():
                _set_status(change, update)
            case ArtifactUpdate():
                _add_chunk(change, update)
            case MessageReceived():
                _receive(change, update)
            case Returned():
                _return(change)
            case StateSaved() | FilesKept():
                _note(change, update)
    return change


def check_holder(head: Head, run: RunKey | None) -> None:
    """Refuse what a run writes to a task it no longer holds (R7)."""
    if run is None or head.run_id == run.id:
        return
    raise TaskEndedError(head.state) if head.state.is_terminal else RunLostError()


def check(head: Head, update: Update) -> Head:
    """Give the head after one update, or raise Refused: the rules without the rows."""
    if head.state.is_terminal:
        raise TaskEndedError(head.state)
    match update:
        case StatusUpdate():
            return replace(head, state=update.state)
        case ArtifactUpdate():
            return replace(head, artifacts=_artifacts_after(head, update))
        case _:
            return head


def _set_status(change: Change, update: StatusUpdate) -> None:
    head = change.head
    metadata = {**head.metadata, **update.metadata} if update.metadata else head.metadata
    change.head = replace(head, state=update.state, metadata=metadata)
    change.error = update.error or change.error
    change.status_changed = True
    change.status_message = None
    seq = change.head.seq + 1
    if update.message is not None:
        change.status_message = new_key()
        change.messages.append((change.status_message, seq, update.message))
    status = protocol.TaskStatus(state=update.state, message=update.message, timestamp=change.at)
    event = protocol.TaskStatusUpdateEvent(
        task_id=str(head.task_id),
        context_id=head.context_id,
        status=status,
        metadata=update.metadata,
    )
    _log(change, protocol.StreamResponse(status_update=event))


def _add_chunk(change: Change, update: ArtifactUpdate) -> None:
    head = change.head
    change.head = replace(head, artifacts=_artifacts_after(head, update))
    event = protocol.TaskArtifactUpdateEvent(
        task_id=str(head.task_id),
        context_id=head.context_id,
        artifact=update.artifact,
        append=update.append,
        last_chunk=update.last_chunk,
        metadata=update.metadata,
    )
    key = update.artifact.artifact_id
    _log(change, protocol.StreamResponse(artifact_update=event), artifact_id=key)
    seq = change.head.seq
    changed = change.artifacts.get(key)
    if changed is None or not update.append:
        first = head.artifacts[key] if update.append else seq
        changed = ArtifactChange(first_seq=first, begins=not update.append)
        change.artifacts[key] = changed
    changed.chunks.append(update.artifact)
    changed.last_seq = seq if update.last_chunk else None


def _artifacts_after(head: Head, update: ArtifactUpdate) -> Mapping[str, int]:
    key = update.artifact.artifact_id
    if update.append and key not in head.artifacts:
        raise UnknownArtifactError(key)
    if update.append and not update.last_chunk:
        return head.artifacts
    others = {other: first for other, first in head.artifacts.items() if other != key}
    return others if update.last_chunk else {**others, key: head.seq + 1}


def _receive(change: Change, update: MessageReceived) -> None:
    head = change.head
    # A task that rests begins anew; one that is busy keeps its state, and the message its place.
    state = protocol.TaskState.SUBMITTED if head.is_idle else head.state
    pushed = head.pushed or update.webhook is not None
    change.head = replace(head, turn=head.turn + 1, pushed=pushed)
    message_key = new_key()
    change.messages.append((message_key, head.seq + 1, update.message))
    change.turns.append((message_key, change.head.turn, update))
    _set_status(change, StatusUpdate(state))


def _return(change: Change) -> None:
    head = change.head
    change.returned = True
    if head.state.is_terminal or head.state.is_interrupted:
        return
    assert change.run is not None  # only a run returns
    if head.turn == change.run.turn:
        _set_status(change, StatusUpdate(protocol.TaskState.COMPLETED))


def _note(change: Change, update: StateSaved | FilesKept) -> None:
    if isinstance(update, StateSaved):
        change.saved = update
    else:
        change.files += update.keys


def _log(change: Change, response: protocol.StreamResponse, artifact_id: str = "") -> None:
    head = change.head = replace(change.head, seq=change.head.seq + 1)
    turn = change.run.turn if change.run else min(head.answered + 1, head.turn)
    change.events.append(Event(head.seq, turn, head.state, response.to_json(), artifact_id))
