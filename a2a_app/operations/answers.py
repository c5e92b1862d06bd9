"""Answers: what agents say at once, without a task (section 3.1.1)."""

import logging
from typing import Any
from uuid import uuid4

from django.core.exceptions import PermissionDenied

from a2a_app import database, protocol
from a2a_app.agents import Agent
from a2a_app.agents.content import agent_message
from a2a_app.concurrency.event_loop import shield
from a2a_app.operations.call import Call
from a2a_app.operations.files import no_such_file
from a2a_app.protocol import Message, Part
from a2a_app.store.refusals import Refused, UnknownFileError
from a2a_app.store.updates import MessageKey
from a2a_app.store.writes.attachments import StoredAttachments
from a2a_app.store.writes.contexts import record

logger = logging.getLogger(__name__)


async def answer(call: Call, message: Message, key: MessageKey | None = None) -> Message | None:
    """Ask the agent for an answer without a task; None where it wants a task.

    Both messages are kept in the conversation. Raises InternalError where the agent raised,
    PermissionDenied where that is what it raised, InvalidAgentResponseError where what it gave is
    no message, and AlreadySentError where another was quicker to answer the message of this key.
    """
    if type(call.agent).answer is Agent.answer:
        return None
    try:
        given = await call.agent.answer(message)
    except (protocol.A2AError, PermissionDenied):
        raise
    # An agent may raise anything; the client gets no more than a reference.
    except (Exception, SystemExit):
        reference = str(uuid4())
        logger.exception("The agent %r failed to answer; reference %s.", call.agent.slug, reference)
        raise protocol.InternalError(f"The agent failed. Reference: {reference}") from None
    if given is None:
        return None
    said = _as_message(given, message.context_id)
    # Shielded: of what is kept half, the other half would be left behind.
    return await shield(_keep(call, message, said, key), refusals=(protocol.A2AError, Refused))


async def _keep(call: Call, message: Message, said: Message, key: MessageKey | None) -> Message:
    """Keep both messages; gives the answer as it is kept."""
    try:
        async with StoredAttachments([message, said], owner=call.scope.owner) as kept:
            received, answered = kept.items
            await database.run(
                record,
                call.scope,
                message.context_id,
                received,
                answered,
                key=key,
                files=kept.keys,
            )
    except UnknownFileError as unknown:
        if unknown.item is message:
            raise no_such_file(unknown) from None
        raise protocol.InvalidAgentResponseError(str(unknown)) from None
    return answered


def _as_message(given: Any, context_id: str) -> Message:
    match given:
        case Message():
            return given.model_copy(update={"context_id": context_id, "task_id": ""})
        case str() | Part():
            return agent_message(given, context_id=context_id)
        case _:
            raise protocol.InvalidAgentResponseError(
                f"The agent answered with {type(given).__name__}, which is no message."
            )
