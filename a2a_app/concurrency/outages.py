"""Outages: a service that is away is told from a busy one, and logged as it goes and comes."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

# How often is looked whether there was an answer, before patience is at an end. An event loop that
# was blocked for long, and has read no answers, has looked once.
LOOKS = 5
# Nobody waits longer than so many times what a service may be silent.
MOST = 12


class Outage:
    """Whether a service we need answers; says so when that changes, however often it is asked."""

    def __init__(self, logger: logging.Logger, service: str) -> None:
        """Watch a service, named as a sentence begins with it."""
        self._logger = logger
        self._service = service
        self._away = False

    def begin(self, error: BaseException) -> None:
        """Note that the service has failed."""
        if not self._away:
            self._away = True
            reason = str(error).strip() or type(error).__name__
            self._logger.warning("%s does not answer: %s", self._service, reason)

    def end(self) -> None:
        """Note that the service has answered."""
        if self._away:
            self._away = False
            self._logger.warning("%s answers again.", self._service)


class SharedTimeout:
    """Waits for a service that many ask at once, for as long as it answers any of them.

    A limit for each alone would take a service that is busy with all the others for one that is
    away.
    """

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Timeout, float] = {}
        self._answers = 0
        self._seen = 0
        self._silent = 0
        self._looking: asyncio.TimerHandle | None = None

    async def wait(self, answer: Awaitable[T], seconds: float) -> T:
        """Give an answer; raises TimeoutError once the service has answered nobody for so long.

        An error is an answer too.
        """
        limit = asyncio.timeout(None)
        self._waiting[limit] = asyncio.get_running_loop().time()
        if self._looking is None:
            self._look_later(seconds)
        try:
            async with limit:
                return await answer
        finally:
            del self._waiting[limit]
            self._answers += not limit.expired()

    def _look_later(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(seconds / LOOKS, self._look, seconds)

    def _look(self, seconds: float) -> None:
        self._looking = None
        is_silent = bool(self._waiting) and self._answers == self._seen
        self._silent = self._silent + 1 if is_silent else 0
        self._seen = self._answers
        self._give_up(0 if self._silent == LOOKS else MOST * seconds)
        self._silent %= LOOKS
        if self._waiting:
            self._look_later(seconds)

    def _give_up(self, waited: float) -> None:
        """End the wait of all who have waited for so many seconds."""
        now = asyncio.get_running_loop().time()
        for limit, since in self._waiting.items():
            if now - since >= waited and not limit.expired():
                limit.reschedule(now)
