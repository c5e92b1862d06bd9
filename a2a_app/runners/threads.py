"""Threads for agents that are not asynchronous."""

import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import connections

from a2a_app.threads import Job

T = TypeVar("T")


async def run_in_thread(work: Callable[[], T]) -> T:
    """Do work in a thread of its own and give its result.

    The thread is a daemon: an agent that never returns does not keep its process from ending.
    Whoever waits may be cancelled; the thread cannot be.
    """
    job = Job(lambda: _with_own_connections(work))
    threading.Thread(target=lambda: job.tell(job.do()), name="a2a-agent", daemon=True).start()
    return await job.outcome()


def _with_own_connections(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        # The connections that the agent's own queries opened belong to this thread alone.
        connections.close_all()
