"""Upkeep: work that is done now and then, beside all other work.

What the setting RETENTION no longer keeps is deleted. Rooms below add works of their own.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from a2a_app import conf, database
from a2a_app.files.storage import run_in_thread
from a2a_app.store import retention

logger = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]
_added: list[Work] = []


def add(work: Work) -> None:
    """Have each process do a work for ever, from when its runner begins to when it ends."""
    if work not in _added:
        _added.append(work)


def works() -> list[Work]:
    """Return the works that a process does for ever."""
    return [retain_for_ever, *_added]


async def retain_for_ever() -> None:
    """Delete a bit of what is too old, every SWEEP_SECONDS. Any number of processes may do so."""
    while True:
        current = conf.current()
        await asyncio.sleep(current.sweep_seconds)
        if not current.retention:
            continue
        try:
            await retain_some()
        except Exception as error:  # the work must go on
            if not isinstance(error, database.AwayError):
                logger.warning("Could not delete what RETENTION does not keep.", exc_info=True)


async def retain_some() -> int:
    """Do one bit of the work on each table, where it is due; return how many rows were deleted.

    It is done in a thread of its own with a connection of its own, so that neither a storage nor a
    long log keeps the threads for the database from what clients wait for.
    """
    deleted = 0
    for kind in retention.KINDS:
        if await database.run(retention.claim, kind):
            deleted += await run_in_thread(retention.retain, kind)
    return deleted
