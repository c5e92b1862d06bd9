"""FastA2AWorker: a `Worker` of FastA2A, served without a change."""

import asyncio
from contextlib import AbstractAsyncContextManager
from copy import copy
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from pydantic import TypeAdapter

from a2a_app.agents import Agent, Artifact, Message, Part, Role, TaskState, Turn, TurnCaller
from a2a_app.agents.content import clean
from a2a_app.agents.forwarding import forward
from a2a_app.protocol import Task, TaskArtifactUpdateEvent, TaskStatus, TaskStatusUpdateEvent

try:
    from fasta2a import Worker, schema
    from fasta2a.broker import Broker
    from fasta2a.event_bus import EventBus
    from fasta2a.extensions import ACTIVATED_EXTENSIONS_KEY
    from fasta2a.storage import Storage
except ImportError as error:
    raise ImportError(
        "a2a_app.contrib.fasta2a needs FastA2A: pip install 'django-agent2agent[fasta2a]'"
    ) from error

_MEMORY = "fasta2a"
_MESSAGE: TypeAdapter[Any] = TypeAdapter(schema.Message)
_ARTIFACT: TypeAdapter[Any] = TypeAdapter(schema.Artifact)


class FastA2AWorker(Agent):
    """A worker of FastA2A: `agent(FastA2AWorker(MyWorker(broker=…, storage=…)), name="Mine")`.

    What it publishes goes to the task at once, and what it stores when it returns. Its broker and
    its storage are replaced, in a copy of the worker for each turn. Where it returns without an
    end or a question, the task is completed, and where it raises, the task fails.
    """

    # Its artifacts come as they do on FastA2A's own server.
    repeats_artifacts = False

    def __init__(self, worker: Worker[Any], *, context_type: Any = None) -> None:
        """Wrap a worker.

        Args:
            worker: The worker.
            context_type: The type of what it stores for a conversation, if not JSON. None: the one
                that its class names, as `class Mine(Worker[list[ModelMessage]])` does.
        """
        self.worker = worker
        self._context: TypeAdapter[Any] = TypeAdapter(context_type or _context_type_of(worker))

    async def run(self, turn: Turn) -> None:
        """Let the worker do a turn, and tell it if it is to stop."""
        answer = _Answer(turn, await turn.task(), self._context)
        worker = _working_with(self.worker, answer)
        try:
            await worker.run_task(_params_of(turn))
        except asyncio.CancelledError:
            if turn.is_canceled:
                await self._cancel(answer.task)
            raise
        await answer.end()

    async def cancel(self, task: Task, caller: TurnCaller) -> None:
        """Tell the worker that a task which waited is canceled."""
        await self._cancel(task)

    async def _cancel(self, task: Task) -> None:
        worker = _working_with(self.worker, _Ended(task))
        await worker.cancel_task(schema.TaskIdParams(id=task.id))


class _Bus(EventBus):
    """Hands on what a worker publishes."""

    def __init__(self, answer: "_Ended") -> None:
        self._answer = answer

    def subscribe(self, task_id: str) -> AbstractAsyncContextManager[Any]:
        _refuse("subscribes to events")

    async def emit(self, task_id: str, event: schema.StreamResponse) -> None:
        await self._answer.publish(event)

    async def close(self, task_id: str) -> None:
        """Leave the stream open until the worker has returned."""


class _Broker(Broker):
    """Has nothing but the bus: turns come from our runner."""

    async def run_task(self, params: schema.TaskSendParams) -> None:
        _refuse("runs tasks itself")

    async def cancel_task(self, params: schema.TaskIdParams) -> None:
        _refuse("cancels tasks itself")

    async def __aenter__(self) -> "_Broker":
        return self

    async def __aexit__(self, *raised: Any) -> None:
        """Leave nothing behind."""

    def receive_task_operations(self) -> Any:
        _refuse("receives tasks itself")


class _Ended(Storage[Any]):
    """What a worker knows of a task that has ended; what it stores of it is dropped."""

    def __init__(self, task: Task) -> None:
        self.task = task

    async def load_task(self, task_id: str, history_length: int | None = None) -> Any:
        return _task_to_theirs(self.task) if task_id == self.task.id else None

    async def submit_task(self, context_id: str, message: schema.Message) -> Any:
        _refuse("submits tasks itself")

    async def update_task(
        self,
        task_id: str,
        state: schema.TaskState,
        new_artifacts: list[schema.Artifact] | None = None,
        new_messages: list[schema.Message] | None = None,
    ) -> Any:
        return _task_to_theirs(self.task)

    async def load_context(self, context_id: str) -> Any:
        return None

    async def update_context(self, context_id: str, context: Any) -> None:
        """Drop it."""

    async def publish(self, event: schema.StreamResponse) -> None:
        """Drop it."""


class _Answer(_Ended):
    """Appends what a worker publishes, and at the end what it has stored besides."""

    def __init__(self, turn: Turn, task: Task, context: TypeAdapter[Any]) -> None:
        # FastA2A gives a worker only what was just submitted.
        super().__init__(task.model_copy(update={"status": TaskStatus(state=TaskState.SUBMITTED)}))
        self._turn = turn
        self._context = context
        self._stored: list[Artifact] = []
        self._messages: list[Message] = []
        self._published: dict[str, list[Part]] = {}
        self._closed: set[str] = set()
        self._end: TaskState | None = None

    async def update_task(
        self,
        task_id: str,
        state: schema.TaskState,
        new_artifacts: list[schema.Artifact] | None = None,
        new_messages: list[schema.Message] | None = None,
    ) -> Any:
        if task_id != self._turn.task_id:
            raise KeyError(task_id)
        self._stored += [self._artifact(each) for each in new_artifacts or ()]
        self._messages += [self._message(each) for each in new_messages or ()]
        await self._set(_state(state), None)
        return _task_to_theirs(self.task)

    async def load_context(self, context_id: str) -> Any:
        found = self._turn.context.state.get(_MEMORY)
        return None if found is None else self._context.validate_python(found)

    async def update_context(self, context_id: str, context: Any) -> None:
        self._turn.context.state[_MEMORY] = self._context.dump_python(context, mode="json")

    async def publish(self, event: schema.StreamResponse) -> None:
        if "artifact_update" in event:
            chunk = event["artifact_update"]
            append, last = chunk.get("append", False), chunk.get("last_chunk", False)
            await self._add(self._artifact(chunk["artifact"]), append=append, last=last)
        elif "status_update" in event:
            status = event["status_update"]["status"]
            said = status.get("message")
            await self._set(_state(status["state"]), said and self._message(said))

    async def end(self) -> None:
        """Say what was stored and not published, and the state in which the worker has left it."""
        asks = self._end is not None and self._end.is_interrupted
        question = self._messages.pop() if asks and self._messages else None
        for message in self._messages:
            await self._say(TaskState.WORKING, message)
        for artifact in self._stored:
            name = artifact.artifact_id
            published = self._published[name] if name in self._closed else []
            if _merged(published) != _merged(artifact.parts):
                await self._add(artifact, append=False, last=True)
        if self._end is not None:
            await self._say(self._end, question)

    async def _set(self, state: TaskState, message: Message | None) -> None:
        is_new = state is not self.task.status.state
        self.task.status = TaskStatus(state=state)
        if message is not None and (state.is_terminal or state.is_interrupted):
            self._messages.append(message)
        if state.is_terminal or state.is_interrupted:
            self._end = state  # what is published after this comes before the end
        elif is_new or message is not None:
            self._end = None
            await self._say(state, message)

    async def _say(self, state: TaskState, message: Message | None) -> None:
        status = TaskStatus(state=state, message=message)
        ids = {"task_id": self._turn.task_id, "context_id": self._turn.context.id}
        await forward(self._turn, TaskStatusUpdateEvent(**ids, status=status))

    async def _add(self, artifact: Artifact, *, append: bool, last: bool) -> None:
        name = artifact.artifact_id
        # Some workers append from the first chunk on.
        append = append and name in self._published and name not in self._closed
        earlier = self._published[name] if append else []
        self._published[name] = [*earlier, *artifact.parts]
        if last:
            self._closed.add(name)
        ids = {"task_id": self._turn.task_id, "context_id": self._turn.context.id}
        chunk = TaskArtifactUpdateEvent(**ids, artifact=artifact, append=append, last_chunk=last)
        await forward(self._turn, chunk)

    def _artifact(self, theirs: schema.Artifact) -> Artifact:
        return Artifact.from_dict(clean(_json(_ARTIFACT, theirs), self._turn.report))

    def _message(self, theirs: schema.Message) -> Message:
        said = {**_json(_MESSAGE, theirs), "role": f"ROLE_{theirs['role'].upper()}"}
        return Message.from_dict(clean(said, self._turn.report))


def _working_with(worker: Worker[Any], answer: _Ended) -> Worker[Any]:
    """Return a copy of a worker whose storage and broker lead to a turn."""
    copied = copy(worker)
    copied.storage, copied.broker = answer, _Broker(event_bus=_Bus(answer))
    return copied


def _context_type_of(worker: Worker[Any]) -> Any:
    for kind in type(worker).__mro__:
        for base in getattr(kind, "__orig_bases__", ()):
            if get_origin(base) is Worker and not isinstance(get_args(base)[0], TypeVar):
                return get_args(base)[0]
    return Any


def _params_of(turn: Turn) -> schema.TaskSendParams:
    message = _message_to_theirs(turn.message)
    params = schema.TaskSendParams(id=turn.task_id, context_id=turn.context.id, message=message)
    if turn.accepted_output_modes:
        params["accepted_output_modes"] = list(turn.accepted_output_modes)
    activated = {ACTIVATED_EXTENSIONS_KEY: list(turn.extensions)} if turn.extensions else {}
    if turn.metadata or activated:
        params["metadata"] = {**turn.metadata, **activated}
    return params


def _task_to_theirs(task: Task) -> schema.Task:
    state: Any = task.status.state.value.removeprefix("TASK_STATE_").lower().replace("_", "-")
    found = schema.Task(
        id=task.id, context_id=task.context_id, status=schema.TaskStatus(state=state)
    )
    found["history"] = [_message_to_theirs(each) for each in task.history]
    if task.artifacts:
        found["artifacts"] = [_ARTIFACT.validate_python(each.to_dict()) for each in task.artifacts]
    return found


def _message_to_theirs(message: Message) -> schema.Message:
    role = "agent" if message.role is Role.AGENT else "user"
    found: schema.Message = _MESSAGE.validate_python({**message.to_dict(), "role": role})
    return found


def _state(theirs: schema.TaskState) -> TaskState:
    return TaskState[theirs.upper().replace("-", "_")]


def _json(adapter: TypeAdapter[Any], value: Any) -> dict[str, Any]:
    found: dict[str, Any] = adapter.dump_python(value, mode="json", by_alias=True)
    return found


def _merged(parts: list[Part]) -> list[Any]:
    """Return parts as readers have them: text that goes on is one."""
    merged: list[Any] = []
    for part in parts:
        if merged and part.text is not None and isinstance(merged[-1], str):
            merged[-1] += part.text
        else:
            merged.append(part.to_dict() if part.text is None else part.text)
    return merged


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(f"Turns come from this server: no worker {what}.")
