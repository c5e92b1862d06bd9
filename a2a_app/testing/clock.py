"""The clock of an event loop, which a test may stop and put forward."""

import asyncio
from typing import Any


class Clock:
    """The time that an event loop goes by: of an agent's limits, of sleeps and of timeouts.

    The database's clock and that of the process go on as they are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take over the clock of an event loop of asyncio, until `restore`."""
        self._loop: Any = loop
        self._passes = loop.time
        self._ahead = 0.0
        self._stands_at: float | None = None
        vars(self._loop)["time"] = self.time

    def time(self) -> float:
        """Return the time, in seconds."""
        return self._passes() + self._ahead if self._stands_at is None else self._stands_at

    def freeze(self) -> None:
        """Stop the time: from now on only `advance` puts it forward."""
        if self._stands_at is None:
            self._stands_at = self.time()

    def advance(self, seconds: float) -> None:
        """Let some seconds pass at once. What is due by then happens in the order of its time."""
        self._ahead += seconds
        if self._stands_at is not None:
            self._stands_at += seconds
        # It may be asleep until a time that has come now. From any thread.
        self._loop.call_soon_threadsafe(lambda: None)

    def restore(self) -> None:
        """Leave the event loop to its own clock."""
        del vars(self._loop)["time"]
