"""Replay: an agent's present code against what a turn has led to, without effects."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from pydantic_core import from_json

from a2a_app import database
from a2a_app.agents import Agent
from a2a_app.agents.durable.approvals import TurnSuspended
from a2a_app.agents.durable.inbox import Inbox
from a2a_app.agents.extensions import APPEND_ONLY
from a2a_app.agents.turn import Turn
from a2a_app.database.values import new_key
from a2a_app.files.links import SCHEME
from a2a_app.files.rows import read_file
from a2a_app.protocol import Message, Part, Task, TaskState, TaskStatus
from a2a_app.runners.comparison import Replayed, Script
from a2a_app.runners.execute import drive
from a2a_app.store.claims import Claim
from a2a_app.store.durable.approvals import Told
from a2a_app.store.durable.recordings import Recording, read_recording
from a2a_app.store.durable.steps import Outcome, Place
from a2a_app.store.durable.waits import Begun
from a2a_app.store.refusals import TaskEndedError
from a2a_app.store.task_head import RunKey, TaskHead
from a2a_app.store.updates import Asked, Credentials, Returned, StatusUpdate, Update
from a2a_app.store.writes.repetition import said_by
from a2a_app.store.writes.writer import Writer

# For so long code that waits for a message may do other things meanwhile, all of which is recorded.
QUIET_SECONDS = 3.0

P = ParamSpec("P")
T = TypeVar("T")


async def record(task_id: UUID, turn: int | None = None, **how: bool) -> Recording:
    """Record a turn, with the bytes of the files that it was given.

    The arguments and errors are those of `read_recording`.
    """
    recording = await database.read(read_recording, task_id, turn, **how)
    for step in recording.steps:
        if step.file:
            content = await read_file(recording.owner, step.file)
            step.result, step.file = [from_json(content)], ""
    for message in (recording.message, *recording.task.history, *recording.conversation):
        message.parts[:] = [await _with_bytes(part, recording.owner) for part in message.parts]
    return recording


async def _with_bytes(part: Part, owner: str) -> Part:
    if not (part.url or "").startswith(SCHEME):
        return part
    try:
        content = await read_file(owner, part.url or "")
    except LookupError:  # it was deleted
        return part
    return part.model_copy(update={"raw": content, "url": None})


async def replay(agent: Agent, recording: Recording, *, user: Any = None) -> Replayed:
    """Run an agent's present code against what a turn has led to, and compare.

    Steps, sleeps, events, decisions and replies of other agents are those of the recording. Verbs
    are compared and not written. The replay ends at the first thing that was not recorded, and
    what the code does outside of steps it does in earnest.

    Args:
        agent: The agent.
        recording: What was recorded.
        user: The Django user whose task it is; None: it has none.
    """
    script = Script(recording)
    turn = _ReplayedTurn(agent, recording, script, user)
    task = asyncio.create_task(_perform(agent, turn, script))
    turn.suspend = partial(_cancel, task)
    await asyncio.wait([task])
    script.end()
    return script.replayed


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


async def _perform(agent: Agent, turn: "_ReplayedTurn", script: "Script") -> None:
    thread_ended = asyncio.Event()
    thread_ended.set()
    try:
        await drive(agent, turn, thread_ended)
        if not turn.writer.state.is_terminal:
            if not turn.writer.state.is_interrupted:
                turn.writer.accept(*turn.last_chunks())
            turn.writer.accept(*turn.context.unsaved(turn.report), Returned())
        script.replayed.end = "the code has returned"
    except TurnSuspended:
        pass
    except Exception as error:  # whatever the agent raises
        script.raised(error)


class _ComparingWriter(Writer):
    """A writer that compares, and writes nothing."""

    def __init__(self, head: TaskHead, run: RunKey, script: Script) -> None:
        super().__init__(head, run, on_loss=lambda: None)
        self._script = script
        self.said: list[Message] = []
        """The messages of what was said, which readings have too."""
        self.status = TaskStatus(state=head.state)
        """The status of the task, whose message is not yet in its history."""
        self.end: Callable[[], None] = lambda: None
        """Stops the agent's code."""
        self.on_progress: Callable[[], None] = lambda: None
        """Called once something was met."""

    async def put(self, *updates: Update) -> None:
        """Compare updates; raise TurnSuspended where the replay ends."""
        self.accept(*updates)

    def accept(self, *updates: Update) -> None:
        """Compare updates as `put` does."""
        for update in updates:
            if isinstance(update, Asked):
                self._script.meet_question(update.ask)
                self._stop()
        for update in updates:
            self._compare(update)

    def _compare(self, update: Update) -> None:
        if self.state.is_terminal:
            raise TaskEndedError(self.state)
        if isinstance(update, Returned):
            self._script.meet_end()
        if isinstance(update, StatusUpdate):
            self.said += [update.message] if update.message else []
            self.status = TaskStatus(state=update.state, message=update.message)
        said = said_by(update)
        if said is not None and not self._script.meet(said):
            self._stop()
        self.on_progress()

    async def persist(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Refuse to store anything, or to read what is not recorded."""
        raise RuntimeError("A replay stores nothing.")

    @property
    def state(self) -> TaskState:
        """The state after what the agent has said."""
        return self.status.state

    async def flushed(self) -> None:
        """Return: nothing is written."""

    def _stop(self) -> None:
        self.end()
        raise TurnSuspended


class _RecordedInbox(Inbox):
    """An inbox with the messages that were read, each at its place."""

    def __init__(self, turn: "_ReplayedTurn", script: Script) -> None:
        super().__init__(turn)
        self._replayed_turn, self._script = turn, script
        self._earlier.extend(each.earlier() for each in script.recording.read)

    @property
    def is_ready(self) -> bool:
        """Whether a message was read here."""
        if not self._earlier:
            return False
        _, after_step, seq = self._earlier[0]
        return self._replayed_turn.steps_met >= after_step and self._script.is_past(seq)

    async def until_ready(self) -> None:
        """Wait until a message was read here; end the replay where nothing else goes on."""
        while not self.is_ready:
            self._changed.clear()
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                self._script.wait_for_message()
                self._replayed_turn.suspend()
                raise TurnSuspended from None


class _ReplayedTurn(Turn):
    """A turn whose steps, waits, decisions and readings are those of a recording."""

    def __init__(self, agent: Agent, recording: Recording, script: Script, user: Any) -> None:
        claim = _claim(recording, user)
        self.writer = _ComparingWriter(claim.head, claim.run, script)
        self.writer.end = lambda: self.suspend()
        repeats = agent.repeats_artifacts and APPEND_ONLY.uri not in recording.extensions
        super().__init__(claim, self.writer, repeats_artifacts=repeats, shows_usage=False)
        self._script = script
        self.is_durable = agent.durable
        decisions = [each.earlier() for each in recording.decisions]
        self._told = Told(recording.turn, decisions)
        if agent.when_busy == "live":
            self._inbox = _RecordedInbox(self, script)
            self.writer.on_progress = self._inbox.wake
        self.context.messages = self._messages  # type: ignore[method-assign]  # as recorded

    @property
    def steps_met(self) -> int:
        """How many steps the code has come to."""
        return self._steps

    async def _earlier(self, place: Place) -> Outcome:
        step = self._script.meet_step(place)
        if step is not None:
            return step.outcome(self._script.recording.recorded_at)
        self.suspend()
        raise TurnSuspended

    def _begun(self, outcome: Outcome) -> Begun:
        return Begun(outcome.until, 0.0)  # it is over, or `_earlier` has ended the replay

    async def check_budgets(self, *, passed: bool = False) -> None:
        """Return: nothing is spent."""

    async def _record(self, used: object) -> None:
        """Return: nothing is recorded."""

    async def _snapshot(self, history_length: int | None) -> Task:
        task = self._script.recording.task
        status = self.writer.status
        said = self.writer.said[:-1] if status.message else self.writer.said
        history = [*task.history, *said]
        if history_length is not None:
            history = _newest(history, history_length)
        return task.model_copy(update={"history": history, "status": status})

    async def referenced_tasks(self) -> list[Task]:
        """Return the tasks to which the message referred, as recorded."""
        return self._script.recording.referenced_tasks

    async def _messages(self, limit: int = 100) -> list[Message]:
        return _newest([*self._script.recording.conversation, *self.writer.said], limit)


def _newest(messages: list[Message], limit: int) -> list[Message]:
    return messages[-limit:] if limit else []


def _claim(recording: Recording, user: Any) -> Claim:
    head = TaskHead(
        task_id=UUID(recording.task.id),
        context_key=new_key(),
        context_id=recording.task.context_id,
        agent=recording.agent,
        owner=recording.owner,
        turn=recording.turn,
    )
    return Claim(
        run=RunKey(new_key(), recording.turn),
        worker="",
        attempt=recording.attempt,
        head=head,
        message=recording.message,
        metadata=recording.metadata,
        accepted_output_modes=recording.accepted_output_modes,
        extensions=recording.extensions,
        credentials=Credentials(),
        user=user,
        context_state=recording.context_state,
        context_version=0,
        revision=recording.revision,
    )
