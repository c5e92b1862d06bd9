"""Visits: what is found where an agent of the directory should be, and noted there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import urljoin

from a2a_app import database, directory
from a2a_app.agents.catalog import domain_of
from a2a_app.client.refusals import RemoteAgentError
from a2a_app.directory import Found, Known, LargeCardError
from a2a_app.protocol import A2AError

logger = logging.getLogger(__name__)

# How long an agent has for its card and for its keys, and how many are looked at together.
SECONDS = 10.0
AT_ONCE = 10
CATALOG_PATHS = ("/.well-known/ard.json", "/.well-known/ai-catalog.json")


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
            found = await _look(known)
        await database.run(directory.note_found, name, found)
    except TimeoutError:
        reason = f"There was no answer within {SECONDS:.0f} seconds."
    except database.AwayError:
        raise
    except Exception as error:  # others write the cards, and must not keep anybody from the rest
        reason = str(error) or type(error).__name__
        if not isinstance(error, A2AError | RemoteAgentError | LargeCardError):
            logger.warning("Could not make anything of the card of %s.", name, exc_info=True)
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


async def _look(known: Known) -> Found:
    """Return what is found at the URL of an agent; raise what is wrong with it, or with the way."""
    try:
        from a2a_app.client.sdk import Place, SdkConnection  # loaded here: needs an extra
    except ImportError as error:
        raise RemoteAgentError(f"Agents elsewhere need the extra 'client': {error}") from None
    place = Place(url=known.url, signature=known.signature, key=known.key, seconds=SECONDS)
    async with SdkConnection(place) as connection:
        identifier = await _identifier(connection.fetch_json, connection.card_url)
        return Found(connection.card, connection.card_url, identifier)


async def _identifier(fetch: Callable[[str], Awaitable[Any]], card_url: str) -> str:
    """Return the name that the publisher of a card has for its agent; "" if it has none.

    A publisher is a domain, and only its own catalog may use its name (AI Catalog, on projection).
    """
    host = domain_of(card_url)
    for path in CATALOG_PATHS if host else ():
        try:
            catalog = await fetch(urljoin(card_url, path))
            for entry in catalog["entries"]:
                identifier = entry["identifier"]
                if entry.get("url") == card_url and identifier.startswith(f"urn:air:{host}:"):
                    return str(identifier)
        # Whatever is there, it is no catalog, or none that can be had.
        except (A2AError, RemoteAgentError, LookupError, TypeError, AttributeError, ValueError):
            continue
    return ""
