"""Outages: the beginning and the end of a service's absence, each logged once.

Code that fails because a service is away reports it here and does not log it itself. A service that
is only busy is not away: `SharedTimeout` tells the two apart.
"""

import logging
import threading
import time

WAVERING_SECONDS = 5.0
"""For how long after an outage a service may fail once more before that is logged as another."""


class Outage:
    """Whether a service that we need answers. Only changes are logged, however often it fails.

    A service that comes back may waver: one connection is served, and the next is not. So the log
    has at most one beginning and one end in `WAVERING_SECONDS`.
    """

    def __init__(self, logger: logging.Logger, service: str) -> None:
        """Watch a service, whose name begins a sentence: `The database`."""
        self._logger = logger
        self._service = service
        self._lock = threading.Lock()
        self._began_at = self._failed_at = 0.0
        self._logged_end_at = -WAVERING_SECONDS
        self._is_logged = False
        self.is_on = False
        """Whether the service is away."""

    @property
    def seconds(self) -> float:
        """For how long the service has been away; 0 while it answers."""
        return time.monotonic() - self._began_at if self.is_on else 0.0

    @property
    def quiet_seconds(self) -> float:
        """How long ago the service last failed."""
        return time.monotonic() - self._failed_at

    def begin(self, error: BaseException) -> None:
        """Note that the service has failed; log it if it answered before. Any thread may call."""
        with self._lock:
            self._failed_at = time.monotonic()
            if not self.is_on:
                self._began_at, self.is_on = self._failed_at, True
            if self._is_logged or self._failed_at - self._logged_end_at < WAVERING_SECONDS:
                return
            self._is_logged = True
        reason = str(error).strip() or type(error).__name__
        self._logger.warning("%s does not answer: %s", self._service, reason)

    def end(self) -> None:
        """Note that the service has answered; log it if it was away. Any thread may call."""
        with self._lock:
            if not self.is_on:
                return
            self.is_on = False
            if not self._is_logged:
                return
            self._is_logged, self._logged_end_at = False, time.monotonic()
        self._logger.warning("%s answers again.", self._service)
