"""Idempotent sending: a message under a key that was sent before joins the first (section 3.3.1).

These are the operations SendMessage and SendStreamingMessage. They wrap those of `messages`, which
know nothing of messages that were sent before.
"""

import json
from functools import partial
from hashlib import sha256

from a2a_app import database, protocol
from a2a_app.feed import Follower, Until
from a2a_app.models.owners import Scope
from a2a_app.operations import messages
from a2a_app.operations.call import Call
from a2a_app.operations.reads import read_task
from a2a_app.operations.streams import Stream, message_stream, open_stream, read_start
from a2a_app.protocol import InvalidParamsError, SendMessageRequest, SendMessageResponse
from a2a_app.store.events import Position
from a2a_app.store.reads.tasks import newest_position, position_at
from a2a_app.store.refusals import AlreadySentError, OtherContentError
from a2a_app.store.updates import MessageKey
from a2a_app.store.writes.idempotency import EarlierSend, find_earlier_send

MAX_KEY_CHARACTERS = 255


async def send_message(call: Call, params: SendMessageRequest) -> SendMessageResponse:
    """Send a message, and return the task or the message that answers it."""
    return call.shown(await _send_once(call, params, _key_of(call, params)))


async def _send_once(
    call: Call, params: SendMessageRequest, key: MessageKey | None
) -> SendMessageResponse:
    if key is None:
        return await messages.send_message(call, params)
    earlier = await _find_earlier(call, key)
    if earlier is None:
        try:
            return await messages.send_message(call, params, key)
        except AlreadySentError:
            earlier = await _get_earlier(call, key)
    return await _wait_for_earlier(call, params, earlier)


async def send_streaming_message(call: Call, params: SendMessageRequest) -> Stream:
    """Send a message, and stream the task or the message that answers it."""
    return call.shown_stream(await _stream_once(call, params, _key_of(call, params)))


async def _stream_once(call: Call, params: SendMessageRequest, key: MessageKey | None) -> Stream:
    if key is None:
        return await messages.send_streaming_message(call, params)
    earlier = await _find_earlier(call, key)
    if earlier is None:
        try:
            return await messages.send_streaming_message(call, params, key)
        except AlreadySentError:
            earlier = await _get_earlier(call, key)
    return await _stream_earlier(call, params, earlier)


async def _wait_for_earlier(
    call: Call, params: SendMessageRequest, earlier: EarlierSend
) -> SendMessageResponse:
    """Return the result of the first message, once there is one unless the client will not wait.

    That is the task as it is now, unless it goes on with a later message. In that case it is the
    task as the first message left it.
    """
    if earlier.task_id is None:
        return SendMessageResponse(message=earlier.answer)
    configuration = params.configuration or protocol.SendMessageConfiguration()
    task_id, length = str(earlier.task_id), configuration.history_length
    awaited = None
    if not configuration.return_immediately:
        async with Follower(earlier.task_id, owner=call.scope.owner) as follower:
            position = await database.read(
                _position_to_wait_from, call.scope, task_id, earlier.turn
            )
            until = Until(earlier.turn, turn_over=False)
            async for events in follower.follow(position, until):
                awaited = events[-1].seq if events else awaited
    task = await read_task(call, task_id, history_length=length, at=awaited)
    return SendMessageResponse(task=task)


def _position_to_wait_from(scope: Scope, task_id: str, turn: int) -> Position:
    """Return the position from which to look for the end of a turn."""
    newest = newest_position(scope, task_id)
    if newest.answered < turn or newest.state.is_terminal or newest.state.is_interrupted:
        return newest
    # The turn is over, and a later one is under way. The log has what the turn left.
    return position_at(scope, task_id, 0)


async def _stream_earlier(call: Call, params: SendMessageRequest, earlier: EarlierSend) -> Stream:
    """Stream the result of the first message, from its task as it is now."""
    if earlier.task_id is None:
        assert earlier.answer is not None  # it has either a task or an answer
        return message_stream(earlier.answer)
    length = params.configuration.history_length if params.configuration else None
    until, task_id = partial(_until, earlier.turn), str(earlier.task_id)
    follower = Follower(earlier.task_id, owner=call.scope.owner)
    return await open_stream(
        follower, read_start(call.scope, task_id, until, history_length=length)
    )


def _until(turn: int, position: Position) -> Until | None:
    return None if position.answered >= turn else Until(turn)


def _key_of(call: Call, params: SendMessageRequest) -> MessageKey | None:
    """Return the key that a message is remembered by; None if it may be sent again."""
    header = call.idempotency_key
    if header:
        if len(header) > MAX_KEY_CHARACTERS or not (header.isascii() and header.isprintable()):
            raise InvalidParamsError.of(
                protocol.IDEMPOTENCY_HEADER,
                f"must be ASCII text, {MAX_KEY_CHARACTERS} characters at most",
            )
        return MessageKey(f"{protocol.IDEMPOTENCY_HEADER}: {header}", _digest(params))
    if call.agent.idempotent:
        return MessageKey(f"messageId: {params.message.message_id}", _digest(params))
    return None


def _digest(params: SendMessageRequest) -> str:
    """Return a digest of the content of a message.

    Neither the message's id nor the way in which the client wants its answer is content.
    """
    configuration = params.configuration or protocol.SendMessageConfiguration()
    message = params.message.to_dict()
    del message["messageId"]
    content = [message, params.metadata, configuration.accepted_output_modes]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


async def _find_earlier(call: Call, key: MessageKey) -> EarlierSend | None:
    """Return the result of the first message under a key; None if this is the first."""
    try:
        return await database.run(find_earlier_send, call.scope, key)
    except OtherContentError:
        field = protocol.IDEMPOTENCY_HEADER if call.idempotency_key else "message.messageId"
        raise InvalidParamsError.of(field, "was used before, for another message") from None


async def _get_earlier(call: Call, key: MessageKey) -> EarlierSend:
    """Return the result of the first message under a key, which was stored a moment ago."""
    earlier = await _find_earlier(call, key)
    if earlier is None:
        raise protocol.InternalError("The message was sent before, and its task is gone.")
    return earlier
