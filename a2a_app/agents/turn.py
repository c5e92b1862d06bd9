"""Turn: the object by which an agent reads and answers one message."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

from a2a_app.agents.caller import TurnCaller
from a2a_app.agents.content import (
    ArtifactWriter,
    Content,
    agent_message,
    clean,
    must_be_read,
    report_replaced,
)
from a2a_app.agents.durable.asking import Delegator
from a2a_app.agents.durable.inbox import Listener
from a2a_app.agents.durable.waits import refuse_inside_step
from a2a_app.agents.values import with_files_read
from a2a_app.concurrency.event_loop import wait_in_thread
from a2a_app.models.owners import Scope, tenant_of
from a2a_app.protocol import Message, TaskState
from a2a_app.protocol.scalars import require_json
from a2a_app.store.claims import Claim
from a2a_app.store.reads.tasks import read_messages
from a2a_app.store.updates import StateSaved, StatusUpdate, Update
from a2a_app.store.writes.writer import Writer

Metadata: TypeAlias = Mapping[str, Any] | None


class ContextState:
    """The conversation to which a turn belongs (section 3.4.1)."""

    def __init__(self, claim: Claim, read: Callable[..., Awaitable[list[Message]]]) -> None:
        self._read = read
        self.id: str = claim.head.context_id
        self.state: dict[str, Any] = deepcopy(claim.context_state)
        """JSON values that the agent remembers. They are saved when the turn ends, and a value that
        is not JSON raises ValueError then."""
        self._scope = Scope(claim.head.agent, claim.head.owner)
        # As text: to Python 1, True and 1.0 are equal.
        self._saved = _as_text(claim.context_state)
        self._version: int = claim.context_version

    async def messages(self, limit: int = 100) -> list[Message]:
        """Read the newest messages of the whole conversation, over all its tasks, oldest first."""
        return await self._read(read_messages, self._scope, self.id, limit=limit)

    def unsaved(self, report: Callable[[], None]) -> list[Update]:
        """Return the updates that save the state, which counts as saved then; none if unchanged.

        Args:
            report: Called if something had to be replaced: see `content.clean`.

        Raises:
            ValueError: The state is not JSON.
        """
        state = clean(self.state, report)
        try:
            text = _as_text(require_json(state))
        except ValueError as error:
            raise ValueError(f"turn.context.state {error}") from None
        if text == self._saved:
            return []
        # A copy in the agent's own order: the text to compare has its keys sorted.
        saved = StateSaved(deepcopy(state), self._version)
        self._saved, self._version = text, self._version + 1
        return [saved]


def _as_text(state: dict[str, Any]) -> str:
    return json.dumps(state, sort_keys=True)


class Turn(Listener, Delegator):
    """The work on one message, for one run.

    The verbs tell the client about the work. In asynchronous code each is awaited. In an agent
    without `async`, which has a thread of its own, each has done its work when it returns. A verb
    that ends the task or asks the client returns once that is committed.

    A verb raises TypeError for what an agent cannot say, and `store.refusals.Refused` once the task
    takes nothing more from this run: it has ended, or is another run's.
    """

    def __init__(
        self,
        claim: Claim,
        writer: Writer,
        *,
        repeats_artifacts: bool = True,
        shows_usage: bool = True,
    ) -> None:
        """Make the turn of a claimed run. Call it on the event loop that the writer uses."""
        self._claim = claim
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._artifacts = 0
        self._repeats_artifacts = repeats_artifacts
        self._open: list[ArtifactWriter] = []
        self._said: ArtifactWriter | None = None
        self._has_reported = False
        self._agent = claim.head.agent
        self._shows_usage = shows_usage
        self._usage: dict[str, Any] = {}
        self.number = claim.run.turn
        """The number of this message among the client's messages to the task. The first has 1."""
        self.context: ContextState = ContextState(claim, writer.persist)
        """The conversation: its id, its messages, and the state that the agent remembers."""

    # The request.

    @property
    def message(self) -> Message:
        """The client's message."""
        return self._claim.message

    @property
    def text(self) -> str:
        """The text parts of the client's message, joined by newlines."""
        return self._claim.message.text

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata of the client's request. The message has metadata of its own."""
        return self._claim.metadata

    @property
    def accepted_output_modes(self) -> Sequence[str]:
        """The media types that the client would like to get. Empty: it did not say."""
        return self._claim.accepted_output_modes

    @property
    def extensions(self) -> Sequence[str]:
        """The URIs of the agent's extensions that the client activated (section 4.6)."""
        return self._claim.extensions

    @property
    def user(self) -> Any:
        """The Django user who sent the first message; None without authentication."""
        return self._claim.user

    @property
    def caller(self) -> TurnCaller:
        """The caller who sent this message, whether a Django user or a name."""
        return TurnCaller.of(self._claim)

    @property
    def tenant(self) -> str:
        """The key of the tenant to which the task belongs. Empty: there is none."""
        return tenant_of(self._claim.head.owner)

    @property
    def task_id(self) -> str:
        """The task's id."""
        return str(self._claim.head.task_id)

    @property
    def attempt(self) -> int:
        """The number of this attempt. An earlier one has asked or slept, or its process died."""
        return self._claim.attempt

    @property
    def revision(self) -> str:
        """The revision of the agent's code under which the turn began. Empty: it had none."""
        return self._claim.revision

    # The verbs. What each takes as content is said once, at `content.Content`.

    def working(self, *contents: Content, metadata: Metadata = None) -> Awaitable[None]:
        """Tell the client that the agent is at work; the contents say on what."""
        return self._set(TaskState.WORKING, contents, metadata)

    def artifact(
        self,
        *contents: Content,
        name: str = "",
        description: str = "",
        artifact_id: str = "",
        metadata: Metadata = None,
    ) -> Awaitable[None]:
        """Add a whole artifact (section 4.1.7), with one part for each content.

        Args:
            *contents: Its parts.
            name: Its name, for people.
            description: What it is, for people.
            artifact_id: Its id. Empty: one that is made of its place in the turn, so that a second
                attempt writes the same artifact again and does not add another.
            metadata: The artifact's metadata.
        """
        about = {"name": name, "description": description, "metadata": dict(metadata or {})}
        return self._new_artifact(artifact_id, about).write(*contents, last=True)

    def open_artifact(
        self,
        *,
        name: str = "",
        description: str = "",
        artifact_id: str = "",
        metadata: Metadata = None,
    ) -> ArtifactWriter:
        """Begin an artifact in chunks, and return the writer for them.

        The arguments are those of `artifact`. Nothing is sent before the first chunk.
        """
        about = {"name": name, "description": description, "metadata": dict(metadata or {})}
        writer = self._new_artifact(artifact_id, about)
        self._open.append(writer)
        return writer

    def complete(self, *contents: Content, metadata: Metadata = None) -> Awaitable[None]:
        """End the task as completed. Returning from `run` does the same."""
        return self._set(TaskState.COMPLETED, contents, metadata)

    def fail(self, *contents: Content, metadata: Metadata = None) -> Awaitable[None]:
        """End the task as failed, with a reason for the client."""
        return self._set(TaskState.FAILED, contents, metadata)

    def reject(self, *contents: Content, metadata: Metadata = None) -> Awaitable[None]:
        """End the task as rejected, because the agent will not do it."""
        return self._set(TaskState.REJECTED, contents, metadata)

    def input_required(self, *contents: Content, metadata: Metadata = None) -> Awaitable[None]:
        """Ask the client something; then return. The answer begins a new turn (section 3.4.3)."""
        return self._set(TaskState.INPUT_REQUIRED, contents, metadata)

    def auth_required(self, *contents: Content, metadata: Metadata = None) -> Awaitable[None]:
        """Ask for authorization (section 7.6). Then return, or wait for it and go on."""
        return self._set(TaskState.AUTH_REQUIRED, contents, metadata)

    # For the runner and for ArtifactWriter.

    def say(self, piece: Content) -> Awaitable[None]:
        """Append what a generator yielded to its artifact."""
        if self._said is None:
            self._said = self.open_artifact()
        return self._said.write(piece)

    def last_chunks(self) -> list[Update]:
        """Return the updates that close the artifacts still open, for the end of the task."""
        if not self._repeats_artifacts:
            return []
        return [update for writer in self._open for update in writer.last_chunk()]

    def put(self, *updates: Update) -> Awaitable[None]:
        """Append updates: on the event loop when awaited, in other threads before it returns."""
        if self.is_durable:
            refuse_inside_step()
        return self._do(self._writer.put(*updates))

    @property
    def usage_metadata(self) -> dict[str, Any]:
        """The task's metadata about usage, of which the next status is to tell; mostly none."""
        return self._usage

    def report(self) -> None:
        """Log the first time that something of the turn had to be replaced."""
        if not self._has_reported:
            self._has_reported = True
            report_replaced(f"turn {self.number} of task {self.task_id}, agent {self._agent}")

    def _new_artifact(self, artifact_id: str, about: dict[str, Any]) -> ArtifactWriter:
        self._artifacts += 1
        artifact_id = artifact_id or f"{self.number}-{self._artifacts}"
        return ArtifactWriter(self.put, artifact_id, about, self.report)

    def _do(self, work: Coroutine[Any, Any, None]) -> Awaitable[None]:
        if threading.get_ident() == self._thread:
            return work
        wait_in_thread(work, self._loop)
        return _Done()

    async def _read_and_set(
        self, state: TaskState, contents: Sequence[Content], metadata: Metadata
    ) -> None:
        await self._set(state, await with_files_read(contents), metadata)

    def _set(
        self, state: TaskState, contents: Sequence[Content], metadata: Metadata
    ) -> Awaitable[None]:
        if must_be_read(contents):
            return self._read_and_set(state, contents, metadata)
        ids = {"context_id": self.context.id, "task_id": self.task_id}
        message = agent_message(*contents, **ids, report=self.report) if contents else None
        said = {**clean(dict(metadata or {}), self.report), **self._usage}
        status = StatusUpdate(state, message, said)
        if not (state.is_terminal or state.is_interrupted):
            return self.put(status)
        closing: list[Update] = []
        if state is TaskState.COMPLETED:
            closing = self.last_chunks()
        elif state.is_interrupted and self._said is not None:
            # What is yielded after a question is another artifact. One that the agent has opened
            # itself stays open, since it may go on after it is authorized.
            closing = [*self._said.last_chunk()] if self._repeats_artifacts else []
            self._said = None
        return self.put(*closing, *self.context.unsaved(self.report), status)


class _Done:
    """An awaitable that is done."""

    def __await__(self) -> Any:
        return iter(())
