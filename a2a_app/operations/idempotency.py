"""Sending, once: a message under a key that was sent before joins the first (section 3.3.1)."""

import json
from contextlib import aclosing
from hashlib import sha256

from a2a_app import database, protocol
from a2a_app.feed import Follower, Until
from a2a_app.operations import messages
from a2a_app.operations.call import Call
from a2a_app.operations.streams import Stream, StreamItem, task_item
from a2a_app.protocol import InvalidParamsError, SendMessageRequest, SendMessageResponse
from a2a_app.store.reads.tasks import read_snapshot
from a2a_app.store.refusals import AlreadySentError, OtherContentError
from a2a_app.store.updates import MessageKey
from a2a_app.store.writes.idempotency import EarlierSend, find_earlier_send

MAX_KEY = 255


async def send_message(call: Call, params: SendMessageRequest) -> SendMessageResponse:
    """Send a message and give what became of it: the task, or the agent's message."""
    key = _key(call, params)
    if key is None:
        return await messages.send_message(call, params)
    sent = await _find(call, key)
    if sent is None:
        try:
            return await messages.send_message(call, params, key)
        except AlreadySentError:
            sent = await _found(call, key)
    return await _give_again(call, params, sent)


def send_streaming_message(call: Call, params: SendMessageRequest) -> Stream:
    """Send a message and stream what becomes of it."""
    key = _key(call, params)
    if key is None:
        return messages.send_streaming_message(call, params)
    return _stream_once(call, params, key)


async def _stream_once(call: Call, params: SendMessageRequest, key: MessageKey) -> Stream:
    sent = await _find(call, key)
    if sent is None:
        stream = messages.send_streaming_message(call, params, key)
        try:
            first = await anext(stream)  # the message is stored before there is an item
        except AlreadySentError:
            sent = await _found(call, key)
    if sent is not None:
        stream = _stream_again(call, params, sent)
        first = await anext(stream)
    # A stream lives for hours: it must not keep what it no longer needs.
    del call, params, key, sent
    async with aclosing(stream):
        yield first
        del first
        async for items in stream:
            yield items


async def _give_again(
    call: Call, params: SendMessageRequest, sent: EarlierSend
) -> SendMessageResponse:
    """Give what became of the first message, once that is known unless nobody wants to wait."""
    if sent.task_id is None:
        return SendMessageResponse(message=sent.answer)
    configuration = params.configuration or protocol.SendMessageConfiguration()
    task_id, length = str(sent.task_id), configuration.history_length
    if not configuration.return_immediately:
        async with Follower(sent.task_id) as follower:
            found = await database.run(read_snapshot, call.scope, task_id, history_length=0)
            if found.position.answered < sent.turn:
                until = Until(sent.turn, turn_over=False)
                async for _ in follower.follow(found.position, until):
                    pass
    found = await database.run(read_snapshot, call.scope, task_id, history_length=length)
    return SendMessageResponse(task=found.task)


async def _stream_again(call: Call, params: SendMessageRequest, sent: EarlierSend) -> Stream:
    """Stream what the first message led to, from how its task is now."""
    if sent.task_id is None:
        yield [StreamItem(None, protocol.StreamResponse(message=sent.answer).to_json())]
        return
    length = params.configuration.history_length if params.configuration else None
    async with Follower(sent.task_id) as follower:
        found = await database.run(
            read_snapshot, call.scope, str(sent.task_id), history_length=length
        )
        yield [task_item(found)]
        position = found.position
        # A stream lives for hours: it must not keep what it no longer needs.
        del call, params, found
        if position.answered >= sent.turn:
            return
        async for events in follower.follow(position, Until(sent.turn)):
            yield [StreamItem(event.seq, event.body) for event in events]


def _key(call: Call, params: SendMessageRequest) -> MessageKey | None:
    """Give what the sending is known by; None where it may be done again."""
    given = call.idempotency_key
    if given:
        if len(given) > MAX_KEY or not (given.isascii() and given.isprintable()):
            raise InvalidParamsError.of(
                protocol.IDEMPOTENCY_HEADER, f"must be ASCII text, {MAX_KEY} characters at most"
            )
        return MessageKey(f"{protocol.IDEMPOTENCY_HEADER}: {given}", _digest(params))
    if call.agent.idempotent:
        return MessageKey(f"messageId: {params.message.message_id}", _digest(params))
    return None


def _digest(params: SendMessageRequest) -> str:
    """Digest what is said. Its id says nothing; how it is to be answered may be another."""
    configuration = params.configuration or protocol.SendMessageConfiguration()
    said = params.message.to_dict()
    del said["messageId"]
    content = [said, params.metadata, configuration.accepted_output_modes]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


async def _find(call: Call, key: MessageKey) -> EarlierSend | None:
    try:
        return await database.run(find_earlier_send, call.scope, key)
    except OtherContentError:
        field = protocol.IDEMPOTENCY_HEADER if call.idempotency_key else "message.messageId"
        raise InvalidParamsError.of(field, "was used before, for another message") from None


async def _found(call: Call, key: MessageKey) -> EarlierSend:
    sent = await _find(call, key)
    if sent is None:
        raise protocol.InternalError("The message was sent before, and its task is gone.")
    return sent
