"""Event loops: one object for each, and work that goes on when its caller is cancelled."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
Refusals: TypeAlias = type[Exception] | tuple[type[Exception], ...]

# An event loop refers to its tasks weakly. Without this set they could be garbage-collected.
_unfinished: set["asyncio.Task[Any]"] = set()


async def shield(work: Coroutine[Any, Any, T], *, refusals: Refusals = ()) -> T:
    """Wait for work and return its result; the work goes on if the caller is cancelled.

    An error that the work raises after that is logged. `asyncio.shield` alone would lose it.

    Args:
        work: The work, which is done to its end in any case.
        refusals: Errors that matter to the caller only, and are not logged.
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
        logger.error("Work that went on after its caller was cancelled has failed.", exc_info=error)


class PerLoop(Generic[T]):
    """One object for each event loop, made when the loop first asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        """Use `make` to make the objects. It is called on the event loop that asks for one."""
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
        """Remove the running event loop's object and return it; None if there is none."""
        return self._objects.pop(asyncio.get_running_loop(), None)

    def _forget_closed_loops(self) -> None:
        # Weak references to loops would not do: most objects refer to their loop, through a task.
        for loop in [each for each in list(self._objects) if each.is_closed()]:
            self._objects.pop(loop, None)
