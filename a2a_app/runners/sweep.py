"""The sweep: finds what nobody works on, whoever was to (R6, R7)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from a2a_app import conf
from a2a_app.store import database

logger = logging.getLogger(__name__)


async def sweep_for_ever(sweep: Callable[[], Awaitable[None]]) -> None:
    """Sweep every SWEEP_SECONDS, the first time at once; any number of processes may do so."""
    while True:
        current = conf.current()
        pause = current.sweep_seconds
        try:
            await sweep()
        except Exception as error:  # it has to live on
            if not isinstance(error, database.AWAY):
                logger.warning("Could not look for runs that nobody works on.", exc_info=True)
            # Back after a while, it has only leases that are over. Their workers come first.
            pause = max(pause, current.lease_seconds)
        await asyncio.sleep(pause)
