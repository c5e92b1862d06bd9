"""The projection: what updates make of a task. It is pure, and so easy to read and to test.

Transitions: a terminal state is the last (R3), and every other state may follow any other. But only
a message of the client leads to SUBMITTED, or a decision: at once where no turn is under way, or
else when the message's turn comes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from a2a_app import protocol
from a2a_app.database.values import byte_length, new_key
from a2a_app.protocol import TaskState
from a2a_app.store.events import Event
from a2a_app.store.refusals import (
    BusyError,
    DecidedError,
    RunLostError,
    TaskEndedError,
    UnknownArtifactError,
)
from a2a_app.store.task_head import RunKey, TaskHead
from a2a_app.store.updates import (
    LIVE_INPUT,
    ArtifactUpdate,
    Ask,
    Asked,
    Decided,
    FilesAttached,
    MessageRead,
    MessageReceived,
    Resolution,
    Returned,
    StateSaved,
    StatusUpdate,
    Update,
)
from a2a_app.store.writes.additions import ArtifactChange, NewMessage, NewTurn, ReadTurn

# What an event counts for besides its text. Its rows have more than the text, however short it is.
EVENT_BYTES = 256
# After how long a client is told to try again where too many turns wait.
RETRY_SECONDS = 5


@dataclass(slots=True)
class Change:
    """What a batch of updates does to a task: the rows to write, in terms of the protocol."""

    before: TaskHead
    """The task before the batch."""
    head: TaskHead
    """The task after it: a copy of `before` that the projection changes as it goes."""
    at: datetime
    run: RunKey | None
    """The run that writes the batch; None: somebody else does, such as a client."""
    events: list[Event] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    turns: list[NewTurn] = field(default_factory=list)
    read: list[ReadTurn] = field(default_factory=list)
    artifacts: dict[str, ArtifactChange] = field(default_factory=dict)
    status_message: UUID | None = None
    """The key of the newest status's message, if it has one."""
    status_changed: bool = False
    returned: bool = False
    """Whether the agent's code has returned."""
    asked: Ask | None = None
    """The question at which the agent's code has stopped."""
    resolution: Resolution | None = None
    """What was decided."""
    withdrawn: bool = False
    """Whether a question that was open need not be decided any more."""
    error: str = ""
    """The traceback behind a failure."""
    saved: StateSaved | None = None
    """What the agent remembers of the context, where it has changed."""
    files: tuple[UUID, ...] = ()
    """The files that become the task's."""
    taken_places: Collection[int] = ()
    """The places of the owner's turns that are known to be taken."""
    ids: Mapping[str, str] = field(init=False)
    """The ids that every event of the task bears."""

    def __post_init__(self) -> None:
        head = self.before
        self.ids = {"task_id": str(head.task_id), "context_id": head.context_id}

    @property
    def ends_task(self) -> bool:
        """Whether the task is over with this batch."""
        return self.head.state.is_terminal

    @property
    def closing_artifacts(self) -> list[str]:
        """The ids of the artifacts that end with this batch and began before it."""
        return [
            key for key, it in self.artifacts.items() if it.last_seq is not None and not it.begins
        ]

    @property
    def ends_run(self) -> bool:
        """Whether the run that writes this batch is over with it."""
        return self.ends_task or self.returned or self.asked is not None

    @property
    def moves_turns(self) -> bool:
        """Whether it asks something, ends what was asked, or reads the message of a later turn."""
        return bool(self.asked or self.resolution or self.withdrawn or self.read)

    @property
    def begins_turn(self) -> bool:
        """Whether it begins a turn that waits for no other."""
        is_first = self.before.is_idle or self.withdrawn
        return bool(self.turns) and is_first and self.resolution is None


def project(
    head: TaskHead, updates: Sequence[Update], *, run: RunKey | None, at: datetime
) -> Change:
    """Return what the updates, in order, make of the task; raise Refused and change nothing."""
    # A run goes on under the number of the last turn whose message it has read.
    held = run and RunKey(run.id, head.answered + 1)
    change = Change(before=head, head=replace(head), at=at, run=held)
    for update in updates:
        if change.head.state.is_terminal and not isinstance(update, Returned):
            raise TaskEndedError(change.head.state)
        _apply(change, update)
    return change


def check_holder(head: TaskHead, run: RunKey | None) -> None:
    """Refuse what a run writes to a task that it no longer holds (R7)."""
    if run is None or head.run_id == run.id:
        return
    raise TaskEndedError(head.state) if head.state.is_terminal else RunLostError()


def check(head: TaskHead, update: Update) -> TaskHead:
    """Return the head after one update, or raise Refused: the rules without the rows."""
    if head.state.is_terminal:
        raise TaskEndedError(head.state)
    match update:
        case StatusUpdate():
            return replace(head, state=update.state)
        case MessageRead():
            return replace(head, state=head.state.after_reply)
        case ArtifactUpdate():
            artifacts = _artifacts_after(head, update)
            # Most chunks of many leave the open artifacts as they are.
            return head if artifacts is head.artifacts else replace(head, artifacts=artifacts)
        case _:
            return head


def _apply(change: Change, update: Update) -> None:
    match update:
        case StatusUpdate():
            change.head.check_number(update.only_at)
            _set_status(change, update)
        case ArtifactUpdate():
            _add_chunk(change, update)
        case MessageReceived():
            _receive(change, update)
        case Returned():
            _return(change, update)
        case MessageRead() | Asked() | Decided():
            _move_turn(change, update)
        case StateSaved():
            change.saved = update
        case FilesAttached():
            change.files += update.keys
            change.head.stored += update.size


def _set_status(change: Change, update: StatusUpdate, *, turn: int | None = None) -> None:
    head = change.head
    head.state = update.state
    if update.state.is_terminal:
        _withdraw(change)
    if update.metadata:
        head.metadata = {**head.metadata, **update.metadata}
    change.error = update.error or change.error
    change.status_changed = True
    change.status_message = None
    if update.message is not None:
        change.status_message = new_key()
        change.messages.append(NewMessage(change.status_message, head.seq + 1, update.message))
    status = protocol.TaskStatus.unchecked(
        state=update.state, message=update.message, timestamp=change.at
    )
    # An agent's metadata has not been checked before. All else is ours, or was checked.
    make = protocol.TaskStatusUpdateEvent
    event = (make if update.metadata else make.unchecked)(
        **change.ids, status=status, metadata=update.metadata
    )
    _log(change, protocol.StreamResponse.of(status_update=event), turn=turn)


def _add_chunk(change: Change, update: ArtifactUpdate) -> None:
    head, open_before = change.head, change.head.artifacts
    head.artifacts = _artifacts_after(head, update)
    # Metadata, and what an agent says is the last chunk, have not been checked before.
    is_checked = not update.metadata and isinstance(update.last_chunk, bool)
    make = protocol.TaskArtifactUpdateEvent
    event = (make.unchecked if is_checked else make)(
        **change.ids,
        artifact=update.artifact,
        append=update.append,
        last_chunk=update.last_chunk,
        metadata=update.metadata,
    )
    key = update.artifact.artifact_id
    _log(change, protocol.StreamResponse.of(artifact_update=event), artifact_id=key)
    changed = change.artifacts.get(key)
    if changed is None or not update.append:
        first = open_before[key] if update.append else head.seq
        changed = ArtifactChange(first_seq=first, begins=not update.append)
        change.artifacts[key] = changed
    changed.chunks.append(update.artifact)
    changed.last_seq = head.seq if update.last_chunk else None


def _artifacts_after(head: TaskHead, update: ArtifactUpdate) -> Mapping[str, int]:
    key = update.artifact.artifact_id
    if update.append and key not in head.artifacts:
        raise UnknownArtifactError(key)
    if update.append and not update.last_chunk:
        return head.artifacts
    others = {other: first for other, first in head.artifacts.items() if other != key}
    return others if update.last_chunk else {**others, key: head.seq + 1}


def _receive(change: Change, update: MessageReceived) -> None:
    head, resolution = change.head, update.resolution
    head.check_number(update.only_at)
    if resolution is None:
        _withdraw(change)
    elif not head.asks:
        raise DecidedError
    head.asks, change.resolution = False, resolution
    open_turns, most = head.turn - head.answered, update.limits.waiting_in_task
    if most and open_turns > most:
        raise protocol.ResourceExhaustedError(
            f"{most} messages of the task wait for their turn. Send more when some are answered.",
            limit="WAITING_TURNS_PER_TASK",
            retry_seconds=RETRY_SECONDS,
        )
    # An idle task is submitted again. A busy one keeps its state, and the message waits.
    is_idle = not open_turns
    if update.limits.refuses_when_busy and not (is_idle or head.state.is_interrupted or resolution):
        raise BusyError(change.ids["task_id"])
    head.turn += 1
    # The log has the agent's messages, and of the client's only that they came.
    length = byte_length(update.message.to_json())
    head.size += length
    head.stored += length
    head.pushed = head.pushed or update.webhook is not None
    head.linked = head.linked or update.asked_by is not None
    message = NewMessage(new_key(), head.seq + 1, update.message)
    change.messages.append(message)
    change.turns.append(NewTurn(message.key, head.turn, update))
    said = resolution.metadata if resolution else {}
    _set_status(change, StatusUpdate(TaskState.SUBMITTED if is_idle else head.state, metadata=said))


def _read(change: Change, update: MessageRead) -> None:
    """End the turn that is worked on, whose run goes on as the next one."""
    head = change.head
    assert change.run is not None  # only a run reads
    head.answered = change.run.turn
    change.run = RunKey(change.run.id, head.answered + 1)
    change.read.append(ReadTurn(change.run.turn, update.after_step))
    said = {LIVE_INPUT: {"read": update.message_id}}
    _set_status(change, StatusUpdate(head.state.after_reply, metadata=said))


def _withdraw(change: Change) -> None:
    """End the turn that waits for a decision, if there is one: it is not to go on."""
    head = change.head
    if head.asks:
        head.asks, change.withdrawn = False, True
        head.answered = head.turn


def _move_turn(change: Change, update: MessageRead | Asked | Decided) -> None:
    match update:
        case MessageRead():
            _read(change, update)
        case Asked():
            _ask(change, update.ask)
        case Decided():
            _decide(change, update.resolution)


def _ask(change: Change, ask: Ask) -> None:
    """Have the turn wait for a decision, unless another message has come meanwhile."""
    head, run = change.head, change.run
    assert run is not None  # only a run asks
    change.asked = ask
    head.asks = head.turn == run.turn
    if not head.asks:
        change.withdrawn = True
        _set_status(change, StatusUpdate(TaskState.SUBMITTED), turn=run.turn + 1)
    if not (head.asks and ask.permission):
        head.answered = run.turn


def _decide(change: Change, resolution: Resolution) -> None:
    head = change.head
    if not head.asks:
        raise DecidedError
    head.asks, change.resolution = False, resolution
    if head.is_idle:
        head.turn += 1
    _set_status(change, StatusUpdate(TaskState.SUBMITTED, metadata=resolution.metadata))


def _return(change: Change, update: Returned) -> None:
    head = change.head
    change.returned = True
    if head.state.is_terminal:
        return
    assert change.run is not None  # only a run returns
    is_newest = head.turn == change.run.turn
    if is_newest and not head.state.is_interrupted:
        _set_status(change, StatusUpdate(TaskState.COMPLETED, metadata=update.metadata))
    elif head.state.is_interrupted and not is_newest:
        # The client answered before the agent returned. The question is no longer open, and a
        # client that waits for the answer must not take the old question for it.
        submitted = StatusUpdate(TaskState.SUBMITTED, metadata=update.metadata)
        _set_status(change, submitted, turn=change.run.turn + 1)


def _log(
    change: Change,
    response: protocol.StreamResponse,
    artifact_id: str = "",
    turn: int | None = None,
) -> None:
    head, run = change.head, change.run
    head.seq += 1
    if turn is None:
        turn = run.turn if run else min(head.answered + 1, head.turn)
    body = response.to_json()
    length = byte_length(body)
    head.size += length
    head.stored += EVENT_BYTES + length
    change.events.append(Event(head.seq, turn, head.state, body, artifact_id))
