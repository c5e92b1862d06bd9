"""Outages: a service that is away is told from a busy one, and logged as it goes and comes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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


class Patience:
    """Waits for a service that many ask at once, for as long as it answers any of them.

    A limit for each alone would take a service that is busy with all the others for one that is
    away.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Timeout] = set()
        self._answers = 0
        self._seen = 0
        self._silent = 0
        self._looking: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Ask the service something; raises TimeoutError once it has answered nobody for so long.

        An error is an answer too.
        """
        limit = asyncio.timeout(MOST * seconds)
        self._waiting.add(limit)
        if self._looking is None:
            self._look_later(seconds)
        try:
            async with limit:
                yield
        finally:
            self._waiting.discard(limit)
            self._answers += not limit.expired()

    def _look_later(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(seconds / LOOKS, self._look, seconds)

    def _look(self, seconds: float) -> None:
        self._looking = None
        is_silent = bool(self._waiting) and self._answers == self._seen
        self._silent = self._silent + 1 if is_silent else 0
        self._seen = self._answers
        if self._silent == LOOKS:
            self._silent = 0
            self._give_up()
        if self._waiting:
            self._look_later(seconds)

    def _give_up(self) -> None:
        now = asyncio.get_running_loop().time()
        for limit in self._waiting:
            if not limit.expired():
                limit.reschedule(now)
