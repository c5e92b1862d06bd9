"""The canceler: it cancels what turns have asked of other agents, and nobody waits for any more."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

from a2a_app import broadcast, database, models
from a2a_app.agents.caller import TurnCaller
from a2a_app.agents.durable.peers import Asking, peers
from a2a_app.protocol import TaskNotCancelableError, TaskNotFoundError
from a2a_app.store.durable.remote_tasks import (
    Unwanted,
    claim_unwanted,
    give_up_unknown,
    note_canceled,
    owner_of,
    read_unwanted,
)
from a2a_app.sweeper import Sweeper

logger = logging.getLogger(__name__)

# How many are looked for at once.
LIMIT = 100
# How many are canceled at once, and how long one may take. An agent that hangs has many.
AT_ONCE = 10
SECONDS = 20.0
# After how long it is tried again to cancel something.
PAUSE = timedelta(seconds=30)
# For how long that is tried.
PATIENCE = timedelta(hours=1)


class Canceler(Sweeper):
    """Cancels tasks of other agents. What several find is one's."""

    group = broadcast.WAKE_GROUP

    def __init__(self) -> None:
        """Make it for an event loop."""
        super().__init__()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def look(self) -> None:
        """Cancel what is unwanted and has not been tried a short time ago."""
        # Most were never sent, such as what was refused.
        await database.run(give_up_unknown, PATIENCE)
        await asyncio.gather(*map(self._claim, await database.read(read_unwanted, LIMIT)))

    def report(self) -> None:
        """Log that a look failed."""
        logger.warning("Could not look for what is to be canceled.", exc_info=True)

    async def _claim(self, unwanted: Unwanted) -> None:
        # An agent that hangs must not hold up what others are to be told.
        async with self._room:
            if await database.run(claim_unwanted, unwanted.id, PAUSE):
                await cancel_now(unwanted)


async def cancel_now(unwanted: Unwanted) -> bool:
    """Cancel a task; return False if that is to be tried again later."""
    is_given_up = unwanted.read_at > unwanted.unwanted_at + PATIENCE
    try:
        async with asyncio.timeout(SECONDS):
            is_canceled = await _is_canceled(unwanted)
    except Exception as error:  # whatever a connection may raise
        is_canceled, which = False, (unwanted.remote_id, unwanted.agent)
        why = str(error) or type(error).__name__
        if is_given_up:
            logger.warning("Task %s of %s goes on, and nobody waits for it: %s", *which, why)
        else:
            logger.info("Task %s of %s could not be canceled yet: %s", *which, why)
    if is_canceled or is_given_up:
        await database.run(note_canceled, unwanted.id)
    return is_canceled


async def _is_canceled(unwanted: Unwanted) -> bool:
    """Cancel a task, and tell that it is canceled, has ended otherwise, or is gone."""
    by: Any = None
    try:
        if unwanted.is_local:
            owner = await database.read(owner_of, unwanted.remote_id)
            by = TurnCaller.of_owner(owner, None, "", None, None)
        async with peers().connect(unwanted.agent, Asking(None, by)) as peer:
            await peer.cancel(unwanted.remote_id)
    except (models.Task.DoesNotExist, TaskNotFoundError, TaskNotCancelableError):
        pass
    return True
