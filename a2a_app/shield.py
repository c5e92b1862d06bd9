"""Shield: work that goes on when whoever waits for it is gone, and whose failure is heard of."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeAlias, TypeVar

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
