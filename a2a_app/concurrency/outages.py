"""Outages: the beginning and the end of a service's absence, each logged once.

Code that fails because a service is away reports it here and does not log it itself. A service that
is only busy is not away: `SharedTimeout` tells the two apart.
"""

import logging


class Outage:
    """Whether a service that we need answers. Only changes are logged, however often it fails."""

    def __init__(self, logger: logging.Logger, service: str) -> None:
        """Watch a service, whose name begins a sentence: `The database`."""
        self._logger = logger
        self._service = service
        self.is_on = False
        """Whether the service is away."""

    def begin(self, error: BaseException) -> None:
        """Note that the service has failed; log it if it answered before."""
        if not self.is_on:
            self.is_on = True
            reason = str(error).strip() or type(error).__name__
            self._logger.warning("%s does not answer: %s", self._service, reason)

    def end(self) -> None:
        """Note that the service has answered; log it if it was away."""
        if self.is_on:
            self.is_on = False
            self._logger.warning("%s answers again.", self._service)
