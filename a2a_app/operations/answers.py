"""The messages with which agents answer at once, without a task (section 3.1.1)."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied

from a2a_app import database, protocol
from a2a_app.agents.content import agent_message
from a2a_app.agents.values import with_files_read
from a2a_app.concurrency.event_loop import Contained, shield
from a2a_app.operations.call import Call
from a2a_app.operations.files import no_such_file
from a2a_app.protocol import Message
from a2a_app.runners.tracebacks import note_failure
from a2a_app.store.refusals import Refused, UnknownFileError
from a2a_app.store.updates import MessageKey
from a2a_app.store.writes.attachments import StoredAttachments
from a2a_app.store.writes.contexts import record

logger = logging.getLogger(__name__)


async def answer(call: Call, message: Message, key: MessageKey | None = None) -> Message | None:
    """Ask the agent for an answer without a task, and store both messages in the conversation.

    Args:
        call: The agent, and the caller.
        message: The client's message.
        key: The key that the message is remembered by; None if it may be sent again.

    Returns:
        The agent's message, or None if the agent wants a task.

    Raises:
        InternalError: The agent raised.
        PermissionDenied: The agent raised this error.
        InvalidAgentResponseError: The agent returned something that it cannot say, or nothing but
            an empty text.
        AlreadySentError: A message under the same key was answered in the meantime.
    """
    try:
        with Contained(f"The agent {call.agent.slug!r}"):
            result = await call.agent.answer(message)
    except (protocol.A2AError, PermissionDenied):
        raise
    except Exception as error:  # it may be anything, and the client gets only a reference
        reference = note_failure(error)
        logger.exception("The agent %r failed to answer; reference %s.", call.agent.slug, reference)
        raise protocol.InternalError(f"The agent failed. Reference: {reference}") from None
    if result is None:
        return None
    reply = await _as_message(result, message.context_id)
    # Shielded: if it were cancelled half-way, files would be left behind.
    return await shield(_store(call, message, reply, key), refusals=(protocol.A2AError, Refused))


async def _store(call: Call, message: Message, reply: Message, key: MessageKey | None) -> Message:
    """Store both messages, and return the agent's as it is stored."""
    try:
        async with StoredAttachments([message, reply], owner=call.scope.owner) as attachments:
            stored_message, stored_reply = attachments.items
            await database.run(
                record,
                call.scope,
                message.context_id,
                stored_message,
                stored_reply,
                key=key,
                files=attachments.keys,
                files_size=attachments.size,
            )
    except UnknownFileError as unknown:
        if unknown.item is message:
            raise no_such_file(unknown) from None
        raise protocol.InvalidAgentResponseError(str(unknown)) from None
    return stored_reply


async def _as_message(result: Any, context_id: str) -> Message:
    try:
        contents = await with_files_read([result])
        reply = agent_message(*contents, context_id=context_id)
    except TypeError as error:
        raise protocol.InvalidAgentResponseError(str(error)) from None
    if reply is None:
        raise protocol.InvalidAgentResponseError("The agent answered with an empty text.")
    return reply
