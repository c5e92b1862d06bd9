"""The projection: what an update makes of a task. Pure, so that its rules can be read and tested.

Transitions: a terminal state is the last (R3); every other state may follow any other, but only a
message of the client leads to SUBMITTED, at once where the task rests, or when its turn comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from a2a_app import protocol
from a2a_app.models.keys import new_key
from a2a_app.protocol import TaskState
from a2a_app.store.events import Event
from a2a_app.store.refusals import RunLostError, TaskEndedError, UnknownArtifactError
from a2a_app.store.task_head import RunKey, TaskHead
from a2a_app.store.updates import (
    ArtifactUpdate,
    FilesAttached,
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

    before: TaskHead
    head: TaskHead
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


@dataclass(slots=True)
class Draft:
    """What updates change of a head, in place: to make a new one for each event takes long."""

    state: TaskState
    seq: int
    turn: int
    pushed: bool
    metadata: Mapping[str, Any]
    artifacts: Mapping[str, int]
    ids: Mapping[str, str]
    """What every event says of where it belongs."""

    @classmethod
    def of(cls, head: TaskHead) -> Self:
        """Begin with a head."""
        return cls(
            state=head.state,
            seq=head.seq,
            turn=head.turn,
            pushed=head.pushed,
            metadata=head.metadata,
            artifacts=head.artifacts,
            ids={"task_id": str(head.task_id), "context_id": head.context_id},
        )

    def head(self, before: TaskHead) -> TaskHead:
        """Give the head that it has become, of the one that it began with."""
        return replace(
            before,
            state=self.state,
            seq=self.seq,
            turn=self.turn,
            pushed=self.pushed,
            metadata=self.metadata,
            artifacts=self.artifacts,
        )


def project(
    head: TaskHead, updates: Sequence[Update], *, run: RunKey | None, at: datetime
) -> Change:
    """Work out what the updates, in order, make of the task; raises Refused and changes nothing."""
    change = Change(before=head, head=head, at=at, run=run)
    draft = Draft.of(head)
    for update in updates:
        if draft.state.is_terminal and not isinstance(update, Returned):
            raise TaskEndedError(draft.state)
        match update:
            case StatusUpdate():
                _set_status(change, draft, update)
            case ArtifactUpdate():
                _add_chunk(change, draft, update)
            case MessageReceived():
                _receive(change, draft, update)
            case Returned():
                _return(change, draft)
            case StateSaved() | FilesAttached():
                _note(change, update)
    change.head = draft.head(head)
    return change


def check_holder(head: TaskHead, run: RunKey | None) -> None:
    """Refuse what a run writes to a task it no longer holds (R7)."""
    if run is None or head.run_id == run.id:
        return
    raise TaskEndedError(head.state) if head.state.is_terminal else RunLostError()


def check(head: TaskHead, update: Update) -> TaskHead:
    """Give the head after one update, or raise Refused: the rules without the rows."""
    if head.state.is_terminal:
        raise TaskEndedError(head.state)
    match update:
        case StatusUpdate():
            return replace(head, state=update.state)
        case ArtifactUpdate():
            artifacts = _artifacts_after(head, update)
            # The same after most chunks of many.
            return head if artifacts is head.artifacts else replace(head, artifacts=artifacts)
        case _:
            return head


def _set_status(
    change: Change, draft: Draft, update: StatusUpdate, *, turn: int | None = None
) -> None:
    draft.state = update.state
    if update.metadata:
        draft.metadata = {**draft.metadata, **update.metadata}
    change.error = update.error or change.error
    change.status_changed = True
    change.status_message = None
    if update.message is not None:
        change.status_message = new_key()
        change.messages.append((change.status_message, draft.seq + 1, update.message))
    status = protocol.TaskStatus.unchecked(
        state=update.state, message=update.message, timestamp=change.at
    )
    # An agent's metadata has not been looked at before; all else is ours, or was.
    make = protocol.TaskStatusUpdateEvent
    event = (make if update.metadata else make.unchecked)(
        **draft.ids, status=status, metadata=update.metadata
    )
    _log(change, draft, protocol.StreamResponse.of(status_update=event), turn=turn)


def _add_chunk(change: Change, draft: Draft, update: ArtifactUpdate) -> None:
    begun = draft.artifacts
    draft.artifacts = _artifacts_after(draft, update)
    # An agent says what is last, and nobody has looked at that before.
    known = not update.metadata and isinstance(update.last_chunk, bool)
    make = protocol.TaskArtifactUpdateEvent
    event = (make.unchecked if known else make)(
        **draft.ids,
        artifact=update.artifact,
        append=update.append,
        last_chunk=update.last_chunk,
        metadata=update.metadata,
    )
    key = update.artifact.artifact_id
    _log(change, draft, protocol.StreamResponse.of(artifact_update=event), artifact_id=key)
    changed = change.artifacts.get(key)
    if changed is None or not update.append:
        first = begun[key] if update.append else draft.seq
        changed = ArtifactChange(first_seq=first, begins=not update.append)
        change.artifacts[key] = changed
    changed.chunks.append(update.artifact)
    changed.last_seq = draft.seq if update.last_chunk else None


def _artifacts_after(head: TaskHead | Draft, update: ArtifactUpdate) -> Mapping[str, int]:
    key = update.artifact.artifact_id
    if update.append and key not in head.artifacts:
        raise UnknownArtifactError(key)
    if update.append and not update.last_chunk:
        return head.artifacts
    others = {other: first for other, first in head.artifacts.items() if other != key}
    return others if update.last_chunk else {**others, key: head.seq + 1}


def _receive(change: Change, draft: Draft, update: MessageReceived) -> None:
    # A task that rests begins anew; one that is busy keeps its state, and the message its place.
    rests = draft.turn == change.before.answered
    draft.turn += 1
    draft.pushed = draft.pushed or update.webhook is not None
    message_key = new_key()
    change.messages.append((message_key, draft.seq + 1, update.message))
    change.turns.append((message_key, draft.turn, update))
    _set_status(change, draft, StatusUpdate(TaskState.SUBMITTED if rests else draft.state))


def _return(change: Change, draft: Draft) -> None:
    change.returned = True
    if draft.state.is_terminal:
        return
    assert change.run is not None  # only a run returns
    is_newest = draft.turn == change.run.turn
    if is_newest and not draft.state.is_interrupted:
        _set_status(change, draft, StatusUpdate(TaskState.COMPLETED))
    elif draft.state.is_interrupted and not is_newest:
        # The client was quicker to answer than the agent to return: no word is awaited any more,
        # and whoever waits for the answer to that must not take the old question for it.
        following = StatusUpdate(TaskState.SUBMITTED)
        _set_status(change, draft, following, turn=change.run.turn + 1)


def _note(change: Change, update: StateSaved | FilesAttached) -> None:
    if isinstance(update, StateSaved):
        change.saved = update
    else:
        change.files += update.keys


def _log(
    change: Change,
    draft: Draft,
    response: protocol.StreamResponse,
    artifact_id: str = "",
    turn: int | None = None,
) -> None:
    draft.seq += 1
    run = change.run
    if turn is None:
        turn = run.turn if run else min(change.before.answered + 1, draft.turn)
    change.events.append(Event(draft.seq, turn, draft.state, response.to_json(), artifact_id))
