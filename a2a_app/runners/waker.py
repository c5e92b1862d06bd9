"""The waker: it has turns go on that were put away, in time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from a2a_app import broadcast, database
from a2a_app.agents import registry
from a2a_app.store.durable.wakeups import Due, begin_again, read_agenda
from a2a_app.sweeper import Sweeper

logger = logging.getLogger(__name__)

# How many turns one look finds. More of them are found by the next look, at once.
LIMIT = 100
# After how many seconds it is looked again for those that could not be woken.
PAUSE_SECONDS = 0.1


class Waker(Sweeper):
    """Looks for wake-ups that are due, at the time of the next one and when something has come.

    Each event loop that has turns to do has one. A wake-up that several find is one's.
    """

    group = broadcast.WAKE_GROUP

    def __init__(
        self, enqueue: Callable[[UUID], None], start: Callable[[Due], Awaitable[None]]
    ) -> None:
        """Make it from what a runner does with a turn.

        Args:
            enqueue: Called with the task's id in the transaction that wakes its turn.
            start: Called with a turn that was woken.
        """
        super().__init__()
        self._enqueue, self._start = enqueue, start

    async def look(self) -> float | None:
        """Wake what is due, and return in how many seconds the next one is."""
        agenda = await database.read(read_agenda, registry.slugs(), LIMIT)
        if not agenda.due:
            return agenda.seconds
        woken = await database.run(begin_again, agenda.due, self._enqueue)
        await asyncio.gather(*map(self._start, woken))
        if len(woken) == len(agenda.due):
            return agenda.seconds
        # The others are another process's, or are due still.
        return PAUSE_SECONDS if agenda.seconds is None else min(agenda.seconds, PAUSE_SECONDS)

    def report(self) -> None:
        """Log that a look failed."""
        logger.warning("Could not wake the turns that are due.", exc_info=True)
