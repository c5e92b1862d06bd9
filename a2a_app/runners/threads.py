"""Threads for agents that are not asynchronous."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


async def run_in_thread(work: Callable[[], T]) -> T:
    """Do work in a thread of its own and give its result.

    The thread is a daemon: an agent that never returns does not keep its process from ending.
    Whoever waits may be cancelled; the thread cannot be.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # work gave it, so it is a T

    def target() -> None:
        try:
            result, error = work(), None
        except BaseException as raised:  # goes to whoever waits, where it is dealt with
            result, error = None, raised
        finally:
            # The connections that the agent's own queries opened belong to this thread alone.
            connections.close_all()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=target, name="a2a-agent", daemon=True).start()
    return await done
