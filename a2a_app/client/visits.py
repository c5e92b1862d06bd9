"""Visits: what is found where an agent of the directory should be, and noted there."""

import asyncio
from collections.abc import Collection

from a2a_app import database, directory
from a2a_app.client.refusals import RemoteAgentError
from a2a_app.directory import Known, LargeCardError
from a2a_app.protocol import A2AError, AgentCard

# How long an agent has for its card and for its keys, and how many are looked at together.
SECONDS = 10.0
AT_ONCE = 10


async def visit(name: str) -> str:
    """Fetch the card of an agent in the directory, verify it, and note what was found.

    Args:
        name: Its name in the directory.

    Returns:
        What is wrong; empty where all is well.

    Raises:
        LookupError: The directory has no such agent.
    """
    known = await database.read(directory.find, name)
    if known is None:
        raise LookupError(name)
    try:
        async with asyncio.timeout(SECONDS):
            card, card_url = await _card_of(known)
        await database.run(directory.note_card, name, card, card_url)
    except (A2AError, RemoteAgentError, LargeCardError) as error:
        reason = str(error) or type(error).__name__
    except TimeoutError:
        reason = f"There was no answer within {SECONDS:.0f} seconds."
    else:
        return ""
    await database.run(directory.note_failure, name, reason)
    return reason


async def visit_all(names: Collection[str]) -> dict[str, str]:
    """Visit agents, some at once; return what is wrong by name, for those with which anything is.

    One that is deleted meanwhile is left out.
    """
    room = asyncio.Semaphore(AT_ONCE)
    wrong = {}

    async def visit_one(name: str) -> None:
        async with room:
            try:
                if reason := await visit(name):
                    wrong[name] = reason
            except LookupError:
                pass

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(visit_one(name))
    return wrong


async def _card_of(known: Known) -> tuple[AgentCard, str]:
    """Return the card of an agent and its URL; raise what is wrong with it, or with the way."""
    try:
        from a2a_app.client.sdk import Place, SdkConnection  # loaded here: needs an extra
    except ImportError as error:
        raise RemoteAgentError(f"Agents elsewhere need the extra 'client': {error}") from None
    place = Place(url=known.url, signature=known.signature, key=known.key, seconds=SECONDS)
    async with SdkConnection(place) as connection:
        return connection.card, connection.card_url
