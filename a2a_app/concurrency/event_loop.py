"""The event loop: one object for each, and work that goes on when its caller is gone."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
Refusals: TypeAlias = type[Exception] | tuple[type[Exception], ...]

# The event loop itself keeps no task from being collected.
_unfinished: set["asyncio.Task[Any]"] = set()


async def shield(work: Coroutine[Any, Any, T], *, refusals: Refusals = ()) -> T:
    """Give the result of work that is brought to its end, also where whoever waits is cancelled.

    asyncio's own shield says nothing of what the work raises after that.

    Args:
        work: What is to be done, all of it.
        refusals: What only the one who has left would want to hear of; the rest is logged.
    """
    task = asyncio.get_running_loop().create_task(work)
    _unfinished.add(task)
    task.add_done_callback(_unfinished.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda ended: _report(ended, refusals))
        raise


def _report(ended: "asyncio.Task[Any]", refusals: Refusals) -> None:
    error = None if ended.cancelled() else ended.exception()
    if error is not None and not isinstance(error, refusals):
        logger.error("What was begun for somebody who has left has failed.", exc_info=error)


class PerLoop(Generic[T]):
    """One object for each event loop, made when the loop first asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Make objects with `make`, which is called on the event loop that asks."""
        self._make = make
        self._objects: dict[asyncio.AbstractEventLoop, T] = {}

    def get(self) -> T:
        """Return the running event loop's object."""
        loop = asyncio.get_running_loop()
        found = self._objects.get(loop)
        if found is None:
            self._forget_closed_loops()
            found = self._objects[loop] = self._make()
        return found

    def pop(self) -> T | None:
        """Take the running event loop's object away and return it; None if there is none."""
        return self._objects.pop(asyncio.get_running_loop(), None)

    def _forget_closed_loops(self) -> None:
        # Weak references would keep them: most objects refer to their loop, by way of a task.
        for loop in [each for each in list(self._objects) if each.is_closed()]:
            self._objects.pop(loop, None)
