"""The event loop of tests without `async`, in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# How long a thread whose event loop ends may take, with all that it still cancels.
END_SECONDS = 10.0


class LoopThread:
    """An event loop in a thread; one for all clients that a test has at once."""

    def __init__(self) -> None:
        """Start the thread."""
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="a2a-testing", daemon=True)
        self._thread.start()
        self._started.wait()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine, which runs on the event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def end(self) -> None:
        """End the event loop, and what is left on it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        # It cancels what is left at its end.
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._stop.wait()
