"""Outages: what fails for a while is logged once when that begins, and once when it is over."""

import logging


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
