"""SendMessage and SendStreamingMessage (sections 3.1.1 and 3.1.2): one way in for both (R13)."""

from a2a_app import database, protocol, runners
from a2a_app.concurrency.event_loop import shield
from a2a_app.feed import Follower, Until
from a2a_app.operations.answers import answer
from a2a_app.operations.call import Call
from a2a_app.operations.files import no_such_file
from a2a_app.operations.modes import check_modes
from a2a_app.operations.push import checked_webhook
from a2a_app.operations.streams import Stream, StreamItem, task_item
from a2a_app.protocol import InvalidParamsError, Message, SendMessageRequest, SendMessageResponse
from a2a_app.store.events import Appended
from a2a_app.store.reads.replay import Replay
from a2a_app.store.reads.tasks import Snapshot, owned_task_head, position_after, read_snapshot
from a2a_app.store.refusals import Refused, TaskEndedError, TaskGoneError, UnknownFileError
from a2a_app.store.task_head import TaskHead
from a2a_app.store.updates import MessageKey, MessageReceived, Webhook
from a2a_app.store.writes.contexts import new_context_id, new_context_key, new_task_id, open_context
from a2a_app.store.writes.writer import write

MAX_ID = 255
WEBHOOK_PATH = "configuration.taskPushNotificationConfig."


async def send_message(
    call: Call, params: SendMessageRequest, key: MessageKey | None = None
) -> SendMessageResponse:
    """Send a message and give what became of it: the task, or the agent's message.

    Waits until the task has ended or waits for the client, unless `returnImmediately` is set.
    Raises AlreadySentError where one was stored under the same key.
    """
    message = _checked(call, params)
    configuration = params.configuration or protocol.SendMessageConfiguration()
    if not message.task_id and (said := await answer(call, message, key)):
        return SendMessageResponse(message=said)
    head, received = await _prepare(call, params, message, key)
    length = configuration.history_length
    if configuration.return_immediately:
        await _accept(head, received)
        task = None
    else:
        task = await _accept_and_wait(head, received, length)
    if task is None:
        task_id = str(head.task_id)
        found = await database.run(read_snapshot, call.scope, task_id, history_length=length)
        task = found.task
    return SendMessageResponse.of(task=task)


async def send_streaming_message(
    call: Call, params: SendMessageRequest, key: MessageKey | None = None
) -> Stream:
    """Send a message and stream what becomes of it.

    Yields the task and then its events, until it ends or waits for the client with this message's
    turn over; or nothing but the agent's message. Raises AlreadySentError where one was stored
    under the same key.
    """
    message = _checked(call, params)
    configuration = params.configuration or protocol.SendMessageConfiguration()
    if not message.task_id and (said := await answer(call, message, key)):
        yield [StreamItem(None, protocol.StreamResponse(message=said).to_json())]
        return
    head, received = await _prepare(call, params, message, key)
    length = configuration.history_length
    # A stream lives for hours: it must not keep what it no longer needs.
    del params, message, configuration
    async with _follower(head) as follower:
        appended = await _accept(head, received)
        if head.seq == 0:
            # So a stream begins with the first event, however quick the agent is.
            task = Replay(appended).task(history_length=length)
            found = Snapshot(task, position_after(appended))
            del task
        else:
            task_id = str(head.task_id)
            found = await database.run(read_snapshot, call.scope, task_id, history_length=length)
        yield [task_item(found)]
        position, turn = found.position, appended.head.turn
        del call, head, received, appended, found
        async for events in follower.follow(position, Until(turn)):
            yield [StreamItem(event.seq, event.body) for event in events]


async def _accept_and_wait(
    head: TaskHead, received: MessageReceived, history_length: int | None
) -> protocol.Task | None:
    """Accept a message and wait for its answer; the follower listens before there is one.

    Gives the task, where all that is in it was heard meanwhile.
    """
    async with _follower(head) as follower:
        appended = await _accept(head, received)
        replay = Replay(appended) if head.seq == 0 else None
        until = Until(appended.head.turn, turn_over=False)
        async for events in follower.follow(position_after(appended), until):
            if replay is not None:
                replay.add(events)
        if replay is None:
            return None
        return replay.end(follower.answered, history_length=history_length)


def _follower(head: TaskHead) -> Follower:
    """Follow a task that a message is about to be stored for."""
    # The turn of a task that is at work comes after one that may run anywhere.
    return Follower(head.task_id, at_hand=runners.current().runs_here and head.is_idle)


def _checked(call: Call, params: SendMessageRequest) -> Message:
    """Refuse what would not be answered, and give the message with the contextId it belongs to."""
    message = params.message
    if message.role is not protocol.Role.USER:
        raise InvalidParamsError.of("message.role", "must be ROLE_USER: clients speak for users")
    for name, value in (("messageId", message.message_id), ("contextId", message.context_id)):
        if len(value) > MAX_ID:
            raise InvalidParamsError.of(f"message.{name}", f"must not be longer than {MAX_ID}")
    check_modes(call.agent, message)
    if message.task_id or message.context_id:
        return message
    return message.model_copy(update={"context_id": new_context_id()})


async def _prepare(
    call: Call, params: SendMessageRequest, message: Message, key: MessageKey | None
) -> tuple[TaskHead, MessageReceived]:
    """Find the task that the message is for, or make a new one, not stored yet."""
    configuration = params.configuration or protocol.SendMessageConfiguration()
    webhook = await _webhook(call, configuration.task_push_notification_config)
    head = await _head(call, message, begins_context=not params.message.context_id)
    received = MessageReceived(
        message=message,
        metadata=params.metadata,
        accepted_output_modes=tuple(configuration.accepted_output_modes),
        extensions=call.extensions,
        webhook=webhook,
        key=key,
    )
    return head, received


async def _webhook(
    call: Call, wanted: protocol.TaskPushNotificationConfig | None
) -> Webhook | None:
    """Check the configuration that comes with a message (section 3.2.2)."""
    if wanted is None:
        return None
    if not call.agent.push_notifications:
        raise protocol.PushNotificationNotSupportedError
    return await checked_webhook(call, wanted, path=WEBHOOK_PATH)


async def _accept(head: TaskHead, received: MessageReceived) -> Appended:
    """Store the message and the order to answer it (R6), and have it answered."""
    try:
        # Shielded: a client that leaves now has sent its message all the same.
        return await shield(_store_and_start(head, received), refusals=Refused)
    except TaskEndedError as ended:
        raise protocol.UnsupportedOperationError(
            f"{ended} It takes no more messages.", task_id=str(head.task_id)
        ) from None
    except TaskGoneError:
        raise protocol.TaskNotFoundError(task_id=str(head.task_id)) from None
    except UnknownFileError as unknown:
        raise no_such_file(unknown) from None


async def _store_and_start(head: TaskHead, received: MessageReceived) -> Appended:
    runner = runners.current()
    with runner.reserve_slot() as worker_slot:
        try:
            appended = await write(head, received, enqueue=runner.enqueue, worker_slot=worker_slot)
        except database.AWAY:
            if worker_slot is not None:
                # The connection may have broken after the commit: then the turn is ours.
                runner.recover(head.task_id, worker_slot)
            raise
        await runner.start(head.task_id, appended.claim)
    return appended


async def _head(call: Call, message: Message, *, begins_context: bool) -> TaskHead:
    if message.task_id:
        return await database.run(_head_of_existing, call, message)
    # A contextId that was made just now is nobody's yet: its context is stored with the task.
    key = None
    if not begins_context:
        key = await database.run(open_context, call.scope, message.context_id)
    return TaskHead(
        task_id=new_task_id(),
        context_key=key or new_context_key(),
        context_id=message.context_id,
        agent=call.agent.slug,
        owner=call.scope.owner,
        user_id=call.caller.user_id,
        begins_context=begins_context,
    )


def _head_of_existing(call: Call, message: Message) -> TaskHead:
    head = owned_task_head(call.scope, message.task_id)
    if message.context_id and message.context_id != head.context_id:
        raise InvalidParamsError.of("message.contextId", "is not the context of the task")
    return head
