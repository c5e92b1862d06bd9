"""Recordings: all that a turn was given and has led to, from which its code can be run again."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from django.db.models import Min
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from a2a_app import models, protocol
from a2a_app.database.values import read_time
from a2a_app.models.owners import Scope
from a2a_app.models.run import Outcome as RunOutcome
from a2a_app.protocol import Message, Task, TaskState
from a2a_app.store.durable.approvals import Earlier, read_decided
from a2a_app.store.durable.attempts import Beginning, read_beginning, said_events
from a2a_app.store.durable.inbox import ReadEarlier, read_earlier
from a2a_app.store.durable.steps import Outcome, read_steps
from a2a_app.store.reads.tasks import read_messages, read_snapshot, to_message

# How many messages of the conversation are recorded.
MAX_MESSAGES = 100
# So ended a run that did not end its task itself.
_ENDED_BY_OTHERS = (RunOutcome.LOST, RunOutcome.CANCELED, RunOutcome.DROPPED)


class RecordedStep(BaseModel):
    """What a step has led to."""

    number: int
    name: str
    kind: str
    result: list[Any] | None
    file: str = ""
    error_kind: str
    error: str
    until: datetime | None
    ended_at: datetime | None

    def outcome(self, started_at: datetime) -> Outcome:
        """Return it as a turn gets it."""
        ended = (1, started_at, self.ended_at, self.kind, self.until)
        return Outcome(self.name, self.result, "", self.error_kind, self.error, *ended)


class RecordedDecision(BaseModel):
    """A question of the turn, and what was decided."""

    digest: str
    number: int
    choices: list[str]
    choice: str
    comment: str
    decided_as: str
    at: datetime

    def earlier(self) -> Earlier:
        """Return it as a turn gets it, without the user who has decided."""
        given = (self.choices, self.choice, self.comment, self.decided_as)
        return Earlier(self.digest, self.number, *given, None, self.at)


class RecordedEvent(BaseModel):
    """Something that the turn has said, as clients have got it."""

    seq: int
    body: dict[str, Any]


class RecordedRead(BaseModel):
    """A message that the turn has read while it was at work."""

    message: Message
    after_step: int
    seq: int

    def earlier(self) -> ReadEarlier:
        """Return it as a turn gets it."""
        return ReadEarlier(self.message, self.after_step, self.seq)


class Recording(BaseModel):
    """What one turn was given, and what it has led to so far."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["a2a_app.recording.v1"]
    agent: str
    """The slug of its agent."""
    revision: str
    owner: str
    turn: int
    attempt: int
    task: Task
    """The task as it was when the message came, with the messages up to that."""
    message: Message
    metadata: dict[str, Any]
    accepted_output_modes: list[str]
    extensions: list[str]
    context_state: dict[str, Any]
    """What the agent remembers of the conversation, as it was saved last."""
    conversation: list[Message]
    referenced_tasks: list[Task]
    steps: list[RecordedStep]
    decisions: list[RecordedDecision]
    asks: tuple[str, int] | None
    """The digest and the number of the question that waits for a decision."""
    read: list[RecordedRead]
    events: list[RecordedEvent]
    recorded_at: datetime

    @classmethod
    def from_text(cls, text: str | bytes) -> Self:
        """Read it from JSON; raise pydantic's ValidationError."""
        return cls.model_validate_json(text)

    def to_text(self) -> str:
        """Return it as JSON, with its fields by name."""
        # As objects of the protocol are written everywhere: what was not given is left out.
        return self.model_dump_json(indent=2, exclude_defaults=True) + "\n"


def read_recording(
    task_id: UUID, turn: int | None = None, *, of_last_attempt: bool = False
) -> Recording:
    """Read what a turn of a task was given and has led to. Files are named, and not read.

    Args:
        task_id: The task.
        turn: The number of the message that the turn answers, among the client's messages to the
            task; None: the last one.
        of_last_attempt: Whether only that has said what is compared, since attempts repeat what
            earlier ones have said.

    Raises:
        LookupError: There is no such task, or no such turn that has begun.
    """
    runs = models.Run.objects.filter(task=task_id).select_related("task__context", "message")
    begun = runs.exclude(started_at=None).order_by("-turn", "-attempt")
    run = (begun if turn is None else begun.filter(turn=turn)).first()
    if run is None:
        raise LookupError("There is no such task, or no such turn of it has begun.")
    beginning = read_beginning(task_id, run.pk)
    decided = read_decided(task_id, beginning.turn)
    return Recording(
        format="a2a_app.recording.v1",
        turn=beginning.turn,
        decisions=[RecordedDecision(**_fields(RecordedDecision, each)) for each in decided],
        recorded_at=read_time(),
        **_given(run),
        **_led_to(run, beginning, of_last_attempt=of_last_attempt),
    )


def _given(run: models.Run) -> dict[str, Any]:
    """Return what the turn of a run was given, as a recording has it."""
    task, context = run.task, run.task.context
    scope = Scope(task.agent, task.owner)
    message = to_message(run.message, context_id=context.context_id)
    conversation = read_messages(scope, context.context_id, limit=MAX_MESSAGES)
    return {
        "agent": task.agent,
        "revision": run.revision,
        "owner": task.owner,
        "attempt": run.attempt,
        "task": _before(read_snapshot(scope, str(task.pk)).task, run.message),
        "message": message.model_copy(update={"task_id": str(task.pk)}),
        "metadata": run.metadata,
        "accepted_output_modes": run.accepted_output_modes,
        "extensions": run.extensions,
        "context_state": context.state,
        "conversation": _until(conversation, message.message_id),
        "referenced_tasks": list(_referenced(scope, message)),
    }


def _led_to(run: models.Run, beginning: Beginning, *, of_last_attempt: bool) -> dict[str, Any]:
    """Return what the turn of a run has led to, as a recording has it."""
    task_id, turn = run.task_id, beginning.turn
    last = min(beginning.last, _last_turn(run))
    open_question = models.Approval.objects.filter(task=task_id, turn=turn, ended_at=None)
    steps = sorted(read_steps(task_id, turn).steps.items())
    read = read_earlier(task_id, run.task.context.context_id, first=turn, last=_last_turn(run))
    return {
        "asks": open_question.values_list("digest", "number").first(),
        "steps": [
            RecordedStep(number=number, **_fields(RecordedStep, outcome))
            for number, outcome in steps
        ],
        "read": [RecordedRead(**_fields(RecordedRead, each)) for each in read],
        "events": _events(run, beginning._replace(last=last), of_last_attempt=of_last_attempt),
    }


def _fields(kind: type[BaseModel], row: Any) -> dict[str, Any]:
    given = row._asdict()
    return {name: given[name] for name in kind.model_fields if name in given}


def _last_turn(run: models.Run) -> int:
    """Return the last number under which the turn of a run may have gone on."""
    later = models.Run.objects.filter(task=run.task_id, turn__gt=run.turn, started_at__isnull=False)
    following = later.exclude(message=run.message_id).aggregate(first=Min("turn"))["first"]
    return run.task.turn if following is None else following - 1


def _events(run: models.Run, beginning: Beginning, *, of_last_attempt: bool) -> list[RecordedEvent]:
    """Return what the turn has said; not how others have ended its task."""
    said = said_events(run.task_id, beginning)
    if of_last_attempt and run.started_at is not None:
        # The log has milliseconds.
        since = run.started_at.replace(microsecond=run.started_at.microsecond // 1000 * 1000)
        later = models.Event.objects.filter(task=run.task_id, created_at__gte=since)
        numbers = set(later.values_list("seq", flat=True))
        said = [(seq, body) for seq, body in said if seq in numbers]
    events = [RecordedEvent(seq=seq, body=from_json(body)) for seq, body in said]
    runs = models.Run.objects.filter(task=run.task_id, message=run.message_id)
    outcome = runs.order_by("-turn", "-attempt").values_list("outcome", flat=True)[0]
    if events and outcome in _ENDED_BY_OTHERS and _is_end(events[-1].body):
        events.pop()
    return events


def _is_end(event: dict[str, Any]) -> bool:
    state = event.get("statusUpdate", {}).get("status", {}).get("state")
    return state is not None and TaskState(state).is_terminal


def _before(task: Task, message: models.Message) -> Task:
    """Return a task as it was when a message had come."""
    earlier = models.Artifact.objects.filter(task=message.task_id, first_seq__lt=message.seq)
    names = set(earlier.values_list("artifact_id", flat=True))
    return task.model_copy(
        update={
            "history": _until(task.history, message.message_id),
            "artifacts": [each for each in task.artifacts if each.artifact_id in names],
            "status": protocol.TaskStatus(state=TaskState.WORKING),
        }
    )


def _until(messages: list[Message], message_id: str) -> list[Message]:
    """Return messages to the one with an id, or all if there is none."""
    ids = [message.message_id for message in messages]
    return messages[: ids.index(message_id) + 1] if message_id in ids else messages


def _referenced(scope: Scope, message: Message) -> Iterable[Task]:
    for task_id in message.reference_task_ids:
        try:
            yield read_snapshot(scope, task_id).task
        except protocol.TaskNotFoundError:
            continue
