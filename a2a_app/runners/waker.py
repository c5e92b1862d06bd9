"""The waker: it has turns go on that were put away, in time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from a2a_app import broadcast, conf, database
from a2a_app.agents import registry
from a2a_app.store.durable.wakeups import Due, begin_again, read_agenda

logger = logging.getLogger(__name__)

# How many turns one look finds. More of them are found by the next look, at once.
LIMIT = 100
# After how many seconds it is looked again for those that could not be woken.
PAUSE_SECONDS = 0.1


class Waker:
    """Looks for wake-ups that are due, at the time of the next one and when something has come.

    Each event loop that has turns to do has one. A wake-up that several find is one's.
    """

    def __init__(
        self, enqueue: Callable[[UUID], None], start: Callable[[Due], Awaitable[None]]
    ) -> None:
        """Make it from what a runner does with a turn.

        Args:
            enqueue: Called with the task's id in the transaction that wakes its turn.
            start: Called with a turn that was woken.
        """
        self._enqueue, self._start = enqueue, start
        self._rung = asyncio.Event()

    async def wake_for_ever(self) -> None:
        """Wake what is due, when it is, when a message says so, and every SWEEP_SECONDS."""
        await broadcast.listen(broadcast.WAKE_GROUP, self._receive)
        try:
            while True:
                pause = await self._look()
                try:
                    async with asyncio.timeout(pause):
                        await self._rung.wait()
                except TimeoutError:
                    pass
        finally:
            await broadcast.leave(broadcast.WAKE_GROUP, self._receive)

    async def _look(self) -> float:
        """Wake what is due, and return after how many seconds to look again."""
        longest = conf.current().sweep_seconds
        self._rung.clear()
        try:
            next_in = await self._wake_due()
        except Exception as error:  # the waker must go on
            if not isinstance(error, database.AwayError):
                logger.warning("Could not wake the turns that are due.", exc_info=True)
            return longest
        return longest if next_in is None else min(longest, next_in)

    async def _wake_due(self) -> float | None:
        agenda = await database.read(read_agenda, registry.slugs(), LIMIT)
        if not agenda.due:
            return agenda.seconds
        woken = await database.run(begin_again, agenda.due, self._enqueue)
        await asyncio.gather(*map(self._start, woken))
        if len(woken) == len(agenda.due):
            return agenda.seconds
        # The others are another process's, or are due still.
        return PAUSE_SECONDS if agenda.seconds is None else min(agenda.seconds, PAUSE_SECONDS)

    def _receive(self, _: dict[str, Any]) -> None:
        self._rung.set()
