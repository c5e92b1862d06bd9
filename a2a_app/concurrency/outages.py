"""Outages: how a service that is away is told from a busy one, and what is logged of it."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

# How often within a timeout it is checked whether answers came. Only if none did at all of these
# checks has the service been silent: an event loop that was blocked has read no answers either, but
# has checked only once.
CHECKS = 5
# The longest time that one caller waits while others are answered, in timeouts.
LONGEST_WAIT = 12


class Outage:
    """Whether a service that we need answers. Only changes are logged, however often it fails."""

    def __init__(self, logger: logging.Logger, service: str) -> None:
        """Watch a service, whose name begins a sentence: `The database`."""
        self._logger = logger
        self._service = service
        self._away = False

    def begin(self, error: BaseException) -> None:
        """Note that the service has failed; log it if it answered before."""
        if not self._away:
            self._away = True
            reason = str(error).strip() or type(error).__name__
            self._logger.warning("%s does not answer: %s", self._service, reason)

    def end(self) -> None:
        """Note that the service has answered; log it if it was away."""
        if self._away:
            self._away = False
            self._logger.warning("%s answers again.", self._service)


class SharedTimeout:
    """A timeout for a service that many callers ask at once: an answer to any of them extends it.

    With a timeout for each caller alone, a service that is busy with the others would seem to be
    away.
    """

    def __init__(self) -> None:
        # Each wait under way, with the time at which it began.
        self._waiting: dict[asyncio.Timeout, float] = {}
        self._answers = 0
        self._checked_answers = 0
        self._silent_checks = 0
        self._next_check: asyncio.TimerHandle | None = None

    async def wait(self, answer: Awaitable[T], seconds: float) -> T:
        """Wait for an answer and return it. An error that the service raises is an answer too.

        Args:
            answer: The answer to this caller.
            seconds: How long the service may be silent to all callers.

        Raises:
            TimeoutError: It was silent for so long, or did not answer this caller for LONGEST_WAIT
                times as long.
        """
        limit = asyncio.timeout(None)
        self._waiting[limit] = asyncio.get_running_loop().time()
        if self._next_check is None:
            self._schedule_check(seconds)
        try:
            async with limit:
                return await answer
        finally:
            del self._waiting[limit]
            self._answers += not limit.expired()

    def _schedule_check(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._next_check = loop.call_later(seconds / CHECKS, self._check, seconds)

    def _check(self, seconds: float) -> None:
        self._next_check = None
        is_silent = bool(self._waiting) and self._answers == self._checked_answers
        self._silent_checks = self._silent_checks + 1 if is_silent else 0
        self._checked_answers = self._answers
        self._end_waits(0 if self._silent_checks == CHECKS else LONGEST_WAIT * seconds)
        self._silent_checks %= CHECKS
        if self._waiting:
            self._schedule_check(seconds)

    def _end_waits(self, seconds: float) -> None:
        """End the wait of each caller that has waited for so many seconds."""
        now = asyncio.get_running_loop().time()
        for limit, since in self._waiting.items():
            if now - since >= seconds and not limit.expired():
                limit.reschedule(now)
