"""GetTask, ListTasks, CancelTask and SubscribeToTask (sections 3.1.3 to 3.1.6)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any
from uuid import UUID

from a2a_app import conf, database, protocol
from a2a_app.agents import TurnCaller
from a2a_app.concurrency.event_loop import shield
from a2a_app.feed import Follower, Until
from a2a_app.operations.call import Call, Grant
from a2a_app.operations.generations import URI, with_order
from a2a_app.operations.reads import read_page, read_task
from a2a_app.operations.streams import Stream, StreamStart, open_stream, read_start
from a2a_app.protocol import TaskState
from a2a_app.protocol.tasks import StoredTask
from a2a_app.runners.cleanup import clean_up
from a2a_app.store.events import Event, Position
from a2a_app.store.reads.tasks import newest_position, owned_task_head, position_at
from a2a_app.store.refusals import Refused, TaskEndedError, TaskGoneError
from a2a_app.store.task_head import TaskHead
from a2a_app.store.token_usage import usage_metadata
from a2a_app.store.updates import StatusUpdate
from a2a_app.store.writes.writer import write

# A subscriber stays where the task waits for its client.
UNTIL_END_OF_TASK = Until()
MAX_EVENT_ID_DIGITS = 18


async def get_task(call: Call, params: protocol.GetTaskRequest) -> protocol.Task:
    """Return a task as it is now, or once it is newer than the client has seen it.

    It is returned as it is after LONG_POLL_SECONDS, and where the server cannot wait.
    """
    known = call.generations
    if known is not None and known.current is not None and call.can_stream:
        await _wait_for_newer(call, params.id, known.current)
    task = call.shown(await read_task(call, params.id, history_length=params.history_length))
    # Where a client has named the extension. One that polls need not pay for it.
    if URI in call.extensions and isinstance(task, StoredTask):
        task = await with_order(task)
    return task


async def _wait_for_newer(call: Call, task_id: str, seen: int) -> None:
    """Wait until a task has an event after one, or has ended, or the time is over."""
    position = await database.read(newest_position, call.scope, task_id)
    if position.seq > seen or position.state.is_terminal:
        return
    async with Follower(position.task_id, owner=call.scope.owner) as follower:
        position = await database.read(newest_position, call.scope, task_id)
        if position.seq > seen:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(conf.current().long_poll_seconds):
                await _follow_beyond(seen, follower.follow(position, UNTIL_END_OF_TASK))


async def _follow_beyond(seen: int, following: AsyncGenerator[Sequence[Event], None]) -> None:
    """Follow a task until it has an event after one, or has ended."""
    async with aclosing(following):
        async for events in following:
            if events and events[-1].seq > seen:
                return


async def list_tasks(call: Call, params: protocol.ListTasksRequest) -> protocol.ListTasksResponse:
    """Return a page of the caller's tasks with this agent, newest status first."""
    return call.shown(await read_page(call, params))


async def cancel_task(call: Call, params: protocol.CancelTaskRequest) -> protocol.Task:
    """End a task as canceled at once, and return it; its agent is stopped after that.

    To cancel a canceled task changes nothing, and returns it if the call may do so
    (section 3.3.1).

    Raises:
        TaskNotCancelableError: The task has ended already, or its agent cannot be stopped.
        TaskNotFoundError: The caller has no such task.
        TaskGenerationMismatchError: It has gone on since the client saw it.
    """
    head, used = await database.read(_head_and_usage, call, params.id)
    if not call.agent.cancelable:
        raise protocol.TaskNotCancelableError(
            "The agent cannot be stopped.", task_id=str(head.task_id)
        )
    metadata = {**call.signed(params.metadata, "metadata"), **used}
    update = StatusUpdate(TaskState.CANCELED, metadata=metadata, only_at=call.required_generation)
    try:
        # Shielded: the agent must be stopped also if the client leaves now.
        await shield(_cancel(call, head, update), refusals=(Refused, protocol.A2AError))
    except TaskEndedError as ended:
        if ended.state is not TaskState.CANCELED or not call.may_cancel_again:
            raise protocol.TaskNotCancelableError(str(ended), task_id=str(head.task_id)) from None
    except TaskGoneError:
        raise protocol.TaskNotFoundError(task_id=str(head.task_id)) from None
    return call.shown(await read_task(call, params.id))


async def _cancel(call: Call, head: TaskHead, update: StatusUpdate) -> None:
    """End a task as canceled, and tell its agent, unless a turn at work hears of it anyway."""
    appended = await write(head, update)
    if call.agent.cleans_up and not appended.stopped:
        reading = read_task(call, str(head.task_id))
        await clean_up(call.agent, head.task_id, _turn_caller(call), reading)


def _turn_caller(call: Call) -> TurnCaller:
    caller, owner = call.caller, call.scope.owner
    grant = caller.grant or Grant(None)
    user = None if caller.user_id is None else caller.identity
    return TurnCaller.of_owner(owner, user, grant.credential, grant.scopes, grant.agents)


async def subscribe_to_task(call: Call, params: protocol.SubscribeToTaskRequest) -> Stream:
    """Stream a task: as it is now, then its events until it ends.

    With a last event id, or a generation, the stream has the events after that one instead, and the
    task may have ended since. Where its log is not kept any more, a stream from a generation is the
    task as it ended.

    A call may want its stream to end where the task waits for its client, as soon as its agent has
    nothing more to say. If it waits already, the stream has the task and nothing else, also with a
    last event id.
    """
    task_id = (await database.read(_head, call, params.id)).task_id
    follower = Follower(task_id, owner=call.scope.owner)
    return call.shown_stream(await open_stream(follower, _read_start(call, task_id)))


async def _read_start(call: Call, task_id: UUID) -> StreamStart:
    field, seen = _last_seen(call)
    read = partial(read_start, call.scope, str(task_id), partial(_until, call))
    if seen is None:
        start = await read()
        if start.position.state.is_terminal:
            raise _ended(task_id, start.position.state)
        return start
    position = await database.read(_resume, call, str(task_id), field, seen)
    if position.seq != seen:
        return await read()
    if call.stays_while_waiting or not _waits(position):
        # Empty, so that a client which comes back learns at once that the stream is open.
        return StreamStart([], position, _until(call, position))
    start = await read()
    if start.position.seq != seen:
        # The task has gone on since: there are events that the client has not seen.
        return StreamStart([], position, _until(call, position))
    return start


def _waits(position: Position) -> bool:
    """Tell whether the newest event is one with which the task waits for its client."""
    return position.seq == position.newest and position.state.is_interrupted


def _until(call: Call, position: Position) -> Until:
    return UNTIL_END_OF_TASK if call.stays_while_waiting else Until(position.turn)


def _last_seen(call: Call) -> tuple[str, int | None]:
    """Return the number of the last event that the client has seen, and which field says so.

    A browser that comes back by itself has a newer number than the URL that it was given.
    """
    field, event_id = "Last-Event-ID", call.last_event_id
    if not event_id:
        current = call.generations.current if call.generations else None
        return protocol.CURRENT_GENERATION_HEADER, current
    is_number = event_id.isascii() and event_id.isdecimal()
    if not is_number or len(event_id) > MAX_EVENT_ID_DIGITS:
        raise protocol.InvalidParamsError.of(field, "must be the id of an event of the task")
    return field, int(event_id)


def _resume(call: Call, task_id: str, field: str, seen: int) -> Position:
    """Return the position after an event that the client has seen.

    Where the log is not kept any more, it is the position at the end, for a client that can tell
    this by its generation.
    """
    try:
        position = position_at(call.scope, task_id, seen)
    except ValueError:
        raise protocol.InvalidParamsError.of(field, "is no event of the task's log") from None
    if position.state.is_terminal and (position.seq == seen or call.generations is None):
        raise _ended(position.task_id, position.state)
    return position


def _head(call: Call, task_id: str) -> TaskHead:
    return owned_task_head(call.scope, task_id)


def _head_and_usage(call: Call, task_id: str) -> tuple[TaskHead, dict[str, Any]]:
    head = _head(call, task_id)
    return head, usage_metadata(head.task_id) if call.agent.shows_usage else {}


def _ended(task_id: UUID, state: TaskState) -> protocol.UnsupportedOperationError:
    return protocol.UnsupportedOperationError(
        f"The task has ended: {state.name.lower()}. Get it instead.", task_id=str(task_id)
    )
