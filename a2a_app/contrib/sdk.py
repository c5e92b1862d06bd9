"""SDKExecutor: an `AgentExecutor` of the official SDK, served without a change."""

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar

from a2a_app.agents import Agent, Message, Turn, TurnCaller
from a2a_app.agents.content import clean
from a2a_app.agents.forwarding import forward
from a2a_app.protocol import StreamResponse, Task
from a2a_app.protocol.base import Model

try:
    from a2a.auth.user import User
    from a2a.server.agent_execution import AgentExecutor, RequestContext
    from a2a.server.context import ServerCallContext
    from a2a.server.events import EventQueue
    from a2a.types import a2a_pb2 as pb
    from google.protobuf import json_format
except ImportError as error:
    raise ImportError(
        "a2a_app.contrib.sdk needs the official SDK: pip install 'django-agent2agent[sdk]'"
    ) from error

P = TypeVar("P")


class SDKExecutor(Agent):
    """An executor of the official SDK: `agent(SDKExecutor(MyExecutor()), name="Mine")`.

    What it puts into its event queue goes to the task as it is. Where it returns without an end or
    a question, the task is completed, and where it raises, the task fails.
    """

    # Its artifacts come as they do on the SDK's own server.
    repeats_artifacts = False

    def __init__(self, executor: AgentExecutor, *, only_messages: bool = False) -> None:
        """Wrap an executor.

        Args:
            executor: The executor. One instance serves all turns, as on the SDK's own server.
            only_messages: Whether it answers each message by a message, and never makes a task. It
                is then run while the client waits, and does not learn who that is. Otherwise its
                message becomes that of a completed task.
        """
        self.executor = executor
        self.only_messages = only_messages

    async def answer(self, message: Message) -> Message | None:
        """Return the executor's message, if it answers by messages only.

        Raises:
            RuntimeError: It has made something else, or nothing.
        """
        if not self.only_messages:
            return None
        said = _to_sdk(message, pb.Message())
        queue = _MessageQueue()
        request = pb.SendMessageRequest(message=said)
        context_id = message.context_id or None
        await self.executor.execute(
            RequestContext(ServerCallContext(), request, context_id=context_id), queue
        )
        if queue.message is None:
            raise RuntimeError(f"{type(self.executor).__name__} has made no message.")
        return queue.message

    async def run(self, turn: Turn) -> None:
        """Let the executor answer a turn, and tell it if it is to stop."""
        context = await _context_of(turn)
        try:
            await self.executor.execute(context, _TurnQueue(turn, context.current_task))
        except asyncio.CancelledError:
            if turn.is_canceled:
                await self.executor.cancel(context, _ClosedQueue())
            raise

    async def cancel(self, task: Task, caller: TurnCaller) -> None:
        """Tell the executor that a task which waited is canceled."""
        call = ServerCallContext(user=_Caller(caller), tenant=caller.tenant)
        theirs = _to_sdk(task, pb.Task())
        context = RequestContext(call, None, task.id, task.context_id, theirs)
        await self.executor.cancel(context, _ClosedQueue())


class _TurnQueue(EventQueue):
    """Appends what an executor puts into it to the turn's task."""

    def __init__(self, turn: Turn, known: pb.Task | None) -> None:
        self._turn = turn
        self._known = known or pb.Task()
        self._artifacts = {each.artifact_id for each in self._known.artifacts}

    async def enqueue_event(self, event: Any) -> None:
        match event:
            case pb.Message():
                await self._end_with(event)
            case pb.Task():
                await self._add_task(event)
            case pb.TaskStatusUpdateEvent():
                await self._forward(pb.StreamResponse(status_update=event))
            case pb.TaskArtifactUpdateEvent():
                await self._add_chunk(event)
            case _:
                raise TypeError(f"An event queue takes no {type(event).__name__}.")

    async def _end_with(self, message: pb.Message) -> None:
        end = pb.TaskStatusUpdateEvent(
            task_id=self._turn.task_id,
            context_id=self._turn.context.id,
            status=pb.TaskStatus(state=pb.TASK_STATE_COMPLETED, message=message),
        )
        await self._forward(pb.StreamResponse(status_update=end))

    async def _add_task(self, task: pb.Task) -> None:
        """Take what a task says that the stored one does not."""
        for artifact in task.artifacts:
            if artifact not in self._known.artifacts:
                whole = pb.TaskArtifactUpdateEvent(artifact=artifact, last_chunk=True)
                whole.task_id, whole.context_id = task.id, task.context_id
                await self._add_chunk(whole)
        # The server has said already that the task is there.
        is_new = task.status.state not in (pb.TASK_STATE_UNSPECIFIED, pb.TASK_STATE_SUBMITTED)
        if is_new and task.status != self._known.status:
            status = pb.TaskStatusUpdateEvent(status=task.status, metadata=task.metadata)
            status.task_id, status.context_id = task.id, task.context_id
            await self._forward(pb.StreamResponse(status_update=status))

    async def _add_chunk(self, event: pb.TaskArtifactUpdateEvent) -> None:
        # Some executors append from the first chunk on.
        sent = pb.TaskArtifactUpdateEvent()
        sent.CopyFrom(event)
        sent.append = event.append and event.artifact.artifact_id in self._artifacts
        self._artifacts.add(event.artifact.artifact_id)
        await self._forward(pb.StreamResponse(artifact_update=sent))

    async def _forward(self, item: pb.StreamResponse) -> None:
        ours = StreamResponse.from_dict(clean(json_format.MessageToDict(item), self._turn.report))
        update = ours.status_update or ours.artifact_update
        assert update is not None, "it was made of one of the two"
        if (update.task_id, update.context_id) != (self._turn.task_id, self._turn.context.id):
            raise ValueError(f"The event is of task {update.task_id!r}, and not of this turn's.")
        await forward(self._turn, update)


class _MessageQueue(EventQueue):
    """Keeps the one message of an executor that makes no tasks."""

    message: Message | None = None

    async def enqueue_event(self, event: Any) -> None:
        if not isinstance(event, pb.Message) or self.message is not None:
            raise RuntimeError(
                f"A {type(event).__name__} of an executor that was declared with only_messages, "
                "from which one message is expected."
            )
        self.message = Message.from_dict(json_format.MessageToDict(event))


class _ClosedQueue(EventQueue):
    """Drops what an executor says of a task that has ended."""

    async def enqueue_event(self, event: Any) -> None:
        """Take an event, and do nothing."""


class _Caller(User):
    def __init__(self, caller: TurnCaller) -> None:
        self._caller = caller

    @property
    def is_authenticated(self) -> bool:
        return bool(self._caller.owner)

    @property
    def user_name(self) -> str:
        return self._caller.name


async def _context_of(turn: Turn) -> RequestContext:
    """Return what the SDK's own server would tell an executor, and the turn as `state["turn"]`."""
    request = pb.SendMessageRequest(message=_to_sdk(turn.message, pb.Message()))
    json_format.ParseDict(dict(turn.metadata), request.metadata)
    request.configuration.accepted_output_modes.extend(turn.accepted_output_modes)
    call = ServerCallContext(
        state={"turn": turn},
        user=_Caller(turn.caller),
        tenant=turn.tenant,
        requested_extensions=set(turn.extensions),
    )
    # A new task is the executor's to make.
    task = None if turn.number == 1 else _to_sdk(await turn.task(), pb.Task())
    related = _all_to_sdk(await turn.referenced_tasks())
    return RequestContext(call, request, turn.task_id, turn.context.id, task, related)


def _all_to_sdk(tasks: Iterable[Model]) -> list[pb.Task]:
    return [_to_sdk(each, pb.Task()) for each in tasks]


def _to_sdk(ours: Model, theirs: P) -> P:
    found: P = json_format.ParseDict(ours.to_dict(), theirs, ignore_unknown_fields=True)
    return found
