"""SendMessage and SendStreamingMessage (sections 3.1.1 and 3.1.2): one way in for both (R13)."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from a2a_app import protocol, runners
from a2a_app.feed import Follower, Until
from a2a_app.operations.answers import answer
from a2a_app.operations.call import Call
from a2a_app.operations.streams import Stream, StreamItem, task_item
from a2a_app.protocol import InvalidParamsError, Message, SendMessageRequest, SendMessageResponse
from a2a_app.store import contexts, database, read
from a2a_app.store.head import Head, head_of
from a2a_app.store.log import Flush
from a2a_app.store.refusals import TaskEndedError
from a2a_app.store.updates import MessageReceived
from a2a_app.store.writer import write

MAX_ID = 255


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that is stored, with the order to answer it."""

    flush: Flush
    message: Message

    @property
    def task_id(self) -> str:
        """The task it belongs to."""
        return str(self.flush.head.task_id)

    @property
    def turn(self) -> int:
        """The turn that answers it."""
        return self.flush.head.turn

    @property
    def position(self) -> read.Position:
        """The place in the task's log after it."""
        return read.position_after(self.flush)


async def send_message(call: Call, params: SendMessageRequest) -> SendMessageResponse:
    """Send a message and give what became of it: the task, or the agent's message.

    Waits until the task has ended or waits for the client, unless `returnImmediately` is set.
    """
    message = _checked(call, params)
    configuration = params.configuration or protocol.SendMessageConfiguration()
    if not message.task_id and (said := await answer(call, message)):
        return SendMessageResponse(message=said)
    async with AsyncExitStack() as stack:
        accepted, follower = await _accept(call, params, message, stack)
        if not configuration.return_immediately:
            until = Until(accepted.turn, turn_over=False)
            async for _ in follower.follow(accepted.position, until):
                pass
    found = await database.run(
        read.snapshot,
        call.scope,
        accepted.task_id,
        history_length=configuration.history_length,
    )
    return SendMessageResponse(task=found.task)


async def send_streaming_message(call: Call, params: SendMessageRequest) -> Stream:
    """Send a message and stream what becomes of it.

    Yields the task and then its events, until it ends or waits for the client with this message's
    turn over; or nothing but the agent's message.
    """
    message = _checked(call, params)
    configuration = params.configuration or protocol.SendMessageConfiguration()
    if not message.task_id and (said := await answer(call, message)):
        yield [StreamItem(None, protocol.StreamResponse(message=said).to_json())]
        return
    async with AsyncExitStack() as stack:
        accepted, follower = await _accept(call, params, message, stack)
        found = await database.run(
            read.snapshot,
            call.scope,
            accepted.task_id,
            history_length=configuration.history_length,
        )
        yield [task_item(found)]
        position, turn = found.position, accepted.turn
        # A stream lives for hours: it must not keep what it no longer needs.
        del params, message, configuration, accepted, found
        async for events in follower.follow(position, Until(turn)):
            yield [StreamItem(event.seq, event.body) for event in events]


def _checked(call: Call, params: SendMessageRequest) -> Message:
    """Refuse what would not be answered, and give the message with the contextId it belongs to."""
    message = params.message
    if message.role is not protocol.Role.USER:
        raise InvalidParamsError.of("message.role", "must be ROLE_USER: clients speak for users")
    for name, value in (("messageId", message.message_id), ("contextId", message.context_id)):
        if len(value) > MAX_ID:
            raise InvalidParamsError.of(f"message.{name}", f"must not be longer than {MAX_ID}")
    configuration = params.configuration
    if configuration is not None and configuration.task_push_notification_config is not None:
        raise protocol.PushNotificationNotSupportedError
    if message.task_id or message.context_id:
        return message
    return message.model_copy(update={"context_id": contexts.new_context_id()})


async def _accept(
    call: Call, params: SendMessageRequest, message: Message, stack: AsyncExitStack
) -> tuple[Accepted, Follower]:
    """Store the message and the order to answer it; the follower was listening before that."""
    if message.task_id:
        head = await database.run(_head_of_existing, call, message)
    else:
        head = await database.run(_head_of_new, call, message)
    follower = await stack.enter_async_context(Follower(head.task_id))
    configuration = params.configuration or protocol.SendMessageConfiguration()
    received = MessageReceived(
        message=message,
        metadata=params.metadata,
        accepted_output_modes=tuple(configuration.accepted_output_modes),
        extensions=call.extensions,
    )
    try:
        # Shielded: a client that leaves now has sent its message all the same.
        flush = await asyncio.shield(_store_and_start(head, received))
    except TaskEndedError as ended:
        raise protocol.UnsupportedOperationError(
            f"{ended} It takes no more messages.", task_id=str(head.task_id)
        ) from None
    return Accepted(flush, message), follower


async def _store_and_start(head: Head, received: MessageReceived) -> Flush:
    flush = await write(head, received)
    await runners.current().start(head.task_id)
    return flush


def _head_of_existing(call: Call, message: Message) -> Head:
    row = read.find(call.scope, message.task_id)
    if message.context_id and message.context_id != row.context.context_id:
        raise InvalidParamsError.of("message.contextId", "is not the context of the task")
    return head_of(row)


def _head_of_new(call: Call, message: Message) -> Head:
    context = contexts.open_context(call.scope, message.context_id)
    return Head(
        task_id=contexts.new_task_id(),
        context_key=context.pk,
        context_id=context.context_id,
        agent=call.agent.slug,
        owner=call.caller.owner,
        user_id=call.caller.user_id,
    )
