"""SendMessage and SendStreamingMessage (sections 3.1.1 and 3.1.2), on one path (R13)."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from a2a_app import conf, database, protocol, runners, telemetry
from a2a_app.agents import Agent
from a2a_app.concurrency.event_loop import shield
from a2a_app.database.values import new_key
from a2a_app.feed import Follower, Until
from a2a_app.operations.answers import answer
from a2a_app.operations.approvals import find_resolution, names_decision
from a2a_app.operations.call import Call
from a2a_app.operations.files import no_such_file
from a2a_app.operations.limits import check_budgets
from a2a_app.operations.push import check_target, checked_webhook
from a2a_app.operations.reads import read_task
from a2a_app.operations.streams import (
    Stream,
    StreamStart,
    message_stream,
    open_stream,
    read_start,
    start_large,
    start_with_task,
)
from a2a_app.protocol import (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    Message,
    SendMessageRequest,
    SendMessageResponse,
)
from a2a_app.store.events import Appended
from a2a_app.store.reads.replay import Replay
from a2a_app.store.reads.tasks import Snapshot, find_waiting_task, owned_task_head
from a2a_app.store.refusals import Refused, TaskEndedError, TaskGoneError, UnknownFileError
from a2a_app.store.task_head import TaskHead, new_task_head
from a2a_app.store.updates import MessageKey, MessageReceived, Webhook
from a2a_app.store.writes.contexts import open_context
from a2a_app.store.writes.writer import write

T = TypeVar("T")

MAX_ID_CHARACTERS = 255
WEBHOOK_PATH = "configuration.taskPushNotificationConfig."
# How much of a media type an error repeats.
MAX_REPEATED_CHARACTERS = 100


async def send_message(
    call: Call, params: SendMessageRequest, key: MessageKey | None = None
) -> SendMessageResponse:
    """Send a message, and return the task or the message that answers it.

    Unless `returnImmediately` is set, this waits until the task ends or waits for the client.

    Args:
        call: The agent, and the caller.
        params: The message, and how it is to be answered.
        key: The key that the message is remembered by; None if it may be sent again.

    Raises:
        AlreadySentError: A message was stored under the same key.
    """
    return await _deliver(call, params, partial(_send, call, params, key))


async def _send(
    call: Call,
    params: SendMessageRequest,
    key: MessageKey | None,
    message: Message,
    waiting: TaskHead | None,
) -> SendMessageResponse:
    configuration = params.configuration or protocol.SendMessageConfiguration()
    if _may_answer(call, message) and (reply := await answer(call, message, key)):
        return SendMessageResponse(message=reply)
    head, received = await _prepare(call, params, message, key, waiting)
    length = configuration.history_length
    if configuration.return_immediately:
        await _accept(head, received)
        awaited = None
    else:
        awaited = await _accept_and_wait(head, received, length)
    if isinstance(awaited, protocol.Task):
        return SendMessageResponse.of(task=awaited)
    task = await read_task(call, str(head.task_id), history_length=length, at=awaited)
    return SendMessageResponse.of(task=task)


async def send_streaming_message(
    call: Call, params: SendMessageRequest, key: MessageKey | None = None
) -> Stream:
    """Send a message, and stream the task or the message that answers it.

    The stream has the task and then its events, until the task ends, or until it waits for the
    client and this message's turn is over. If the agent answers without a task, the stream has its
    message and nothing else. The arguments and errors are those of `send_message`.
    """
    return await _deliver(call, params, partial(_send_streaming, call, params, key))


async def _send_streaming(
    call: Call,
    params: SendMessageRequest,
    key: MessageKey | None,
    message: Message,
    waiting: TaskHead | None,
) -> Stream:
    if _may_answer(call, message) and (reply := await answer(call, message, key)):
        return message_stream(reply)
    head, received = await _prepare(call, params, message, key, waiting)
    length = params.configuration.history_length if params.configuration else None
    return await open_stream(_follower(head), _accept_and_start(call, head, received, length))


async def _deliver(
    call: Call,
    params: SendMessageRequest,
    send: Callable[[Message, TaskHead | None], Awaitable[T]],
) -> T:
    """Check a message, and send it to the task that it is for.

    That is the task that it names. If it names none, it is the one in its context that waits for
    it, where the agent continues such tasks; otherwise a new one.

    Args:
        call: The agent, and the caller.
        params: The message.
        send: Called with the message, and with the head of the task that waits for it, if any.
    """
    message = _checked(call, params)
    if call.agent.continues_waiting_task and params.message.context_id and not message.task_id:
        waiting = await database.read(find_waiting_task, call.scope, message.context_id)
        if waiting is not None:
            # It may end before the message is stored. The client did not ask for that very task.
            with suppress(TaskEndedError, TaskGoneError):
                named = message.model_copy(update={"task_id": str(waiting.task_id)})
                return await send(named, waiting)
    try:
        return await send(message, None)
    except TaskEndedError as ended:
        raise protocol.UnsupportedOperationError(
            f"{ended} It takes no more messages.", task_id=message.task_id
        ) from None
    except TaskGoneError:
        raise protocol.TaskNotFoundError(task_id=message.task_id) from None


def _may_answer(call: Call, message: Message) -> bool:
    """Tell whether the agent may answer a message without a task (section 3.1.1)."""
    return not message.task_id and type(call.agent).answer is not Agent.answer


async def _accept_and_start(
    call: Call, head: TaskHead, received: MessageReceived, history_length: int | None
) -> StreamStart:
    """Accept a message, and return the start of its stream."""
    appended = await _accept(head, received)
    until = Until(appended.head.turn)
    if head.seq:
        key = str(head.task_id)
        return await read_start(call.scope, key, lambda _: until, history_length=history_length)
    # Not read as it is: the stream has to begin with the first event, however quick the agent is.
    position, size = appended.position, appended.head.size
    if size > conf.current().stream_bytes:
        return start_large(call.scope, position, until, size, history_length=history_length)
    task = Replay(appended).task(history_length=history_length)
    return start_with_task(Snapshot(task, position), until)


async def _accept_and_wait(
    head: TaskHead, received: MessageReceived, history_length: int | None
) -> protocol.Task | int | None:
    """Accept a message, and wait until its task ends or waits for the client.

    The follower listens before the message is stored, and so misses no event.

    Returns:
        The task, if it can be made of the events that came in the meantime. Otherwise the number of
        the event that was waited for, at which the task has to be read: another message may have
        come since. None if the task was deleted.
    """
    awaited = None
    async with _follower(head) as follower:
        appended = await _accept(head, received)
        replay = Replay(appended) if head.seq == 0 else None
        until = Until(appended.head.turn, turn_over=False)
        async for events in follower.follow(appended.position, until):
            awaited = events[-1].seq if events else awaited
            if replay is not None:
                replay.add(events)
        task = replay and replay.end(follower.answered, history_length=history_length)
        return task or awaited


def _follower(head: TaskHead) -> Follower:
    """Return a follower of a task that a message is about to be stored for."""
    # If the task is not idle, another turn comes first, and that one may run on another process.
    runs_here = runners.current().runs_here and head.is_idle
    return Follower(head.task_id, owner=head.owner, runs_here=runs_here)


def _checked(call: Call, params: SendMessageRequest) -> Message:
    """Check a message, and return it with the id of its context, which may be a new one."""
    message = params.message
    if message.role is not protocol.Role.USER:
        raise InvalidParamsError.of("message.role", "must be ROLE_USER: clients speak for users")
    for name, value in (("messageId", message.message_id), ("contextId", message.context_id)):
        if len(value) > MAX_ID_CHARACTERS:
            raise InvalidParamsError.of(
                f"message.{name}", f"must not be longer than {MAX_ID_CHARACTERS}"
            )
    _check_modes(call.agent, message)
    signed = call.signed(message.metadata, "message.metadata")
    if signed is not message.metadata:
        message = message.model_copy(update={"metadata": signed})
    if message.task_id or message.context_id:
        return message
    return message.model_copy(update={"context_id": str(new_key())})


async def _prepare(
    call: Call,
    params: SendMessageRequest,
    message: Message,
    key: MessageKey | None,
    waiting: TaskHead | None,
) -> tuple[TaskHead, MessageReceived]:
    """Return the head of the task that a message is for, and the update that stores the message.

    A new task is not stored yet.
    """
    configuration = params.configuration or protocol.SendMessageConfiguration()
    webhook = _webhook(call, configuration.task_push_notification_config)
    head = waiting
    if head is None and message.task_id:
        head = await database.read(_head_of_existing, call, message)
    if webhook is not None:
        # Now that the task is known to be the caller's, and before anything is stored.
        await check_target(call, webhook, path=WEBHOOK_PATH)
    if head is None:
        head = await _new_head(call, message, begins_context=not params.message.context_id)
    may_decide = head.asks or any(part.has_data for part in message.parts)
    received = MessageReceived(
        message=message,
        metadata=params.metadata,
        accepted_output_modes=tuple(configuration.accepted_output_modes),
        extensions=call.extensions,
        webhook=webhook,
        trace=telemetry.active.carrier() if telemetry.active else {},
        key=key,
        limits=call.agent.turn_limits,
        revision=call.agent.revision,
        credentials=await call.credentials(),
        asked_by=call.asked_by,
        resolution=await find_resolution(call, head, message) if may_decide else None,
        only_at=call.required_generation,
    )
    if conf.current().budgets and received.resolution is None:  # a decision begins no turn
        await check_budgets(call)
    return head, received


def _webhook(call: Call, config: protocol.TaskPushNotificationConfig | None) -> Webhook | None:
    """Check the push notification configuration of a message (section 3.2.2)."""
    if config is None:
        return None
    call.caller.check_scope("push")
    if not call.agent.push_notifications:
        raise protocol.PushNotificationNotSupportedError
    return checked_webhook(call, config, path=WEBHOOK_PATH)


async def _accept(head: TaskHead, received: MessageReceived) -> Appended:
    """Store a message and the order to answer it (R6), and have it answered."""
    try:
        # Shielded: the message is sent, even if its client leaves now.
        return await shield(_store_and_start(head, received), refusals=(Refused, protocol.A2AError))
    except UnknownFileError as unknown:
        raise no_such_file(unknown) from None


async def _store_and_start(head: TaskHead, received: MessageReceived) -> Appended:
    """Store a message, and tell the runner."""
    runner = runners.current()
    with runner.reserve_slot(head.owner) as worker_slot:
        try:
            appended = await write(
                head,
                received,
                enqueue=runner.enqueue,
                first_job=runner.first_job(head.task_id),
                worker_slot=worker_slot,
            )
        except database.AwayError:
            if worker_slot is not None:
                # The connection may have broken after the commit. In that case the turn is ours.
                runner.recover(head.task_id, worker_slot)
            raise
        await runner.start(head.task_id, appended.claim, head.owner)
    return appended


async def _new_head(call: Call, message: Message, *, begins_context: bool) -> TaskHead:
    """Return the head of a new task for a message."""
    context_key = None
    if not begins_context:
        context_key = await database.run(open_context, call.scope, message.context_id)
    return new_task_head(
        agent=call.agent.slug,
        owner=call.scope.owner,
        context_id=message.context_id,
        context_key=context_key,
        user_id=call.caller.user_id,
    )


def _head_of_existing(call: Call, message: Message) -> TaskHead:
    head = owned_task_head(call.scope, message.task_id)
    if message.context_id and message.context_id != head.context_id:
        raise InvalidParamsError.of("message.contextId", "is not the context of the task")
    return head


def _check_modes(agent: Agent, message: Message) -> None:
    """Check that the agent, or one of its skills, accepts every part of a message.

    Raises:
        ContentTypeNotSupportedError: One part is not accepted. The error names the part, its media
            type, and those that are accepted.
    """
    for index, part in enumerate(message.parts):
        media_type = part.content_type
        if media_type and not agent.accepts(media_type) and not names_decision(part):
            accepted = ", ".join(dict.fromkeys(agent.accepted_modes))
            media_type = media_type[:MAX_REPEATED_CHARACTERS]
            raise ContentTypeNotSupportedError(
                f"Part {index + 1} of the message is {media_type}; the agent takes {accepted}.",
                part_index=str(index),
                media_type=media_type,
                supported=accepted,
            )
