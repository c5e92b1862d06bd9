"""Equal steps: how many steps are done here and with DBOS, and how they are timed.

It imports nothing of ours, so that DBOS's process starts as quickly as it can.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

STEPS, TURNS, OF_EACH = 300, 20, 50
"""How many steps are done one after the other; in how many turns at once, and in each of them."""


async def seconds(work: Callable[[], Awaitable[Any]]) -> float:
    """Return how long a piece of work takes."""
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun
