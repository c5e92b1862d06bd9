"""Sweeper: it looks for work when a message says so, and every SWEEP_SECONDS in case none came."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from a2a_app import broadcast, conf, database


class Sweeper(ABC):
    """Looks for work in the database, on one event loop.

    Each event loop of each process may have one of a kind: what several find is claimed by one. So
    a message that is lost costs time, and nothing else.
    """

    group: str
    """Messages of this group say that there may be work."""
    least_pause_seconds = 0.0
    """The least pause between two looks, however many messages come."""

    def __init__(self) -> None:
        """Make it on its event loop."""
        self._rung = asyncio.Event()

    async def sweep_for_ever(self) -> None:
        """Look at once, and then whenever there may be work."""
        await broadcast.listen(self.group, self._receive)
        try:
            while True:
                self._rung.clear()
                seconds = await self._seconds_to_next()
                await asyncio.sleep(self.least_pause_seconds)
                try:
                    async with asyncio.timeout(seconds):
                        await self._rung.wait()
                except TimeoutError:
                    pass
        finally:
            await broadcast.leave(self.group, self._receive)

    def ring(self) -> None:
        """Have it look again. A call during a look is followed by another look."""
        self._rung.set()

    @abstractmethod
    async def look(self) -> float | None:
        """Do what is due; return in how many seconds more will be, or None where nobody knows."""

    @abstractmethod
    def report(self) -> None:
        """Log the exception of a look, which is being handled. The next look comes all the same."""

    async def _seconds_to_next(self) -> float:
        longest = conf.current().sweep_seconds
        try:
            seconds = await self.look()
        except database.AwayError:  # which is logged
            return longest
        except Exception:  # it must go on
            self.report()
            return longest
        return longest if seconds is None else min(longest, seconds)

    def _receive(self, _: dict[str, Any]) -> None:
        self.ring()
