"""GetTask, ListTasks, CancelTask and SubscribeToTask (sections 3.1.3 to 3.1.6)."""

from uuid import UUID

from a2a_app import database, protocol
from a2a_app.concurrency.event_loop import shield
from a2a_app.feed import Follower, Until
from a2a_app.operations.call import Call
from a2a_app.operations.streams import Stream, StreamItem, task_item
from a2a_app.protocol import TaskState
from a2a_app.store.reads import pages
from a2a_app.store.reads.tasks import Position, owned_task_head, position_at, read_snapshot
from a2a_app.store.refusals import Refused, TaskEndedError, TaskGoneError
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import StatusUpdate
from a2a_app.store.writes.writer import write

# Until the task's end only: a subscriber stays where the task waits for its client.
TO_THE_END = Until()


async def get_task(call: Call, params: protocol.GetTaskRequest) -> protocol.Task:
    """Give a task as it is now."""
    found = await database.run(
        read_snapshot, call.scope, params.id, history_length=params.history_length
    )
    return found.task


async def list_tasks(call: Call, params: protocol.ListTasksRequest) -> protocol.ListTasksResponse:
    """Give a page of the caller's tasks with this agent, newest status first."""
    return await database.run(pages.task_page, call.scope, params)


async def cancel_task(call: Call, params: protocol.CancelTaskRequest) -> protocol.Task:
    """End a task as canceled, at once; its agent is stopped after that.

    To cancel a canceled task again changes nothing and gives it (section 3.3.1).
    """
    head = await database.run(_head, call, params.id)
    if not call.agent.cancelable:
        raise protocol.TaskNotCancelableError(
            "The agent cannot be stopped.", task_id=str(head.task_id)
        )
    update = StatusUpdate(TaskState.CANCELED, metadata=params.metadata)
    try:
        # Shielded: the agent is to be stopped, though the client leaves now.
        await shield(write(head, update), refusals=Refused)
    except TaskEndedError as ended:
        if ended.state is not TaskState.CANCELED:
            raise protocol.TaskNotCancelableError(str(ended), task_id=str(head.task_id)) from None
    except TaskGoneError:
        raise protocol.TaskNotFoundError(task_id=str(head.task_id)) from None
    found = await database.run(read_snapshot, call.scope, params.id)
    return found.task


async def subscribe_to_task(call: Call, params: protocol.SubscribeToTaskRequest) -> Stream:
    """Stream a task: as it is now, then its events until it ends.

    With a last event id, the events after that instead, also those of a task that has ended since.
    """
    task_id = (await database.run(_head, call, params.id)).task_id
    async with Follower(task_id) as follower:
        if call.last_event_id:
            position = await database.run(_resume, call, str(task_id))
            # Nothing new yet, but all is well: whoever comes back need not wait to learn that.
            yield []
        else:
            found = await database.run(read_snapshot, call.scope, str(task_id))
            position = found.position
            if position.state.is_terminal:
                raise _ended(task_id, position.state)
            yield [task_item(found)]
            del found
        # A stream lives for hours: it must not keep what it no longer needs.
        del call, params
        async for events in follower.follow(position, TO_THE_END):
            yield [StreamItem(event.seq, event.body) for event in events]


def _resume(call: Call, task_id: str) -> Position:
    field = "Last-Event-ID"
    given = call.last_event_id
    if not (given.isascii() and given.isdecimal() and len(given) <= 18):
        raise protocol.InvalidParamsError.of(field, "must be the id of an event of the task")
    try:
        position = position_at(call.scope, task_id, int(given))
    except ValueError:
        raise protocol.InvalidParamsError.of(field, "is no event of the task's log") from None
    if position.state.is_terminal:
        raise _ended(position.task_id, position.state)
    return position


def _head(call: Call, task_id: str) -> TaskHead:
    return owned_task_head(call.scope, task_id)


def _ended(task_id: UUID, state: TaskState) -> protocol.UnsupportedOperationError:
    return protocol.UnsupportedOperationError(
        f"The task has ended: {state.name.lower()}. Get it instead.", task_id=str(task_id)
    )
