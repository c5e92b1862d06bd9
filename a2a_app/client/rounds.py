"""Rounds: the agents of the directory are looked at now and then, by one process at a time."""

import asyncio
import logging

from a2a_app import conf, database, directory
from a2a_app.client.visits import visit_all

logger = logging.getLogger(__name__)

# How often a process asks whether any visit is due, and how many agents it visits before it asks
# again. So many take a minute where none of them answers.
LOOK_SECONDS = 60.0
MOST = 50


async def visit_for_ever() -> None:
    """Visit each agent of the directory every DIRECTORY_SECONDS, beside all other work."""
    while True:
        await asyncio.sleep(min(conf.current().directory_seconds or LOOK_SECONDS, LOOK_SECONDS))
        try:
            await visit_overdue()
        except Exception as error:  # the work must go on
            if not isinstance(error, database.AwayError):
                logger.warning("Could not look at the agents in the directory.", exc_info=True)


async def visit_overdue() -> list[str]:
    """Visit the agents that are to be visited again, if no other process does; return their names.

    Nothing is done where DIRECTORY_SECONDS is 0, or the extra `client` is not installed.
    """
    if not await _overdue() or not _has_client():
        return []
    if not await database.run(directory.claim_visits):
        return []
    try:
        # Read again: another process may have visited them before it let the work go.
        names = await _overdue()
        await visit_all(names)
    finally:
        await database.run(directory.release_visits)
    return names


async def _overdue() -> list[str]:
    seconds = conf.current().directory_seconds
    return await database.read(directory.overdue, seconds, MOST) if seconds else []


def _has_client() -> bool:
    try:
        from a2a_app.client import sdk as sdk  # loaded here: needs an extra
    except ImportError:
        return False
    return True
