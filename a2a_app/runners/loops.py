"""An event loop in a thread of its own, for workers of queues that have none."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Any, TypeAlias

Close: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.Lock()
_ending: "Future[None] | None" = None


def run_in_background(work: Coroutine[Any, Any, None], close: Close) -> None:
    """Do work on this process's background loop, the same for all, and return when it is done.

    Args:
        work: What to do.
        close: How all work on the loop is ended, once the process is asked to end: a queue's own
            worker only takes no more jobs then, and waits for the one it has.
    """
    asyncio.run_coroutine_threadsafe(work, _background(close)).result()
    if _ending is not None:
        # The process may be gone as soon as this returns.
        _ending.result()


def _background(close: Close) -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="a2a-loop", daemon=True).start()
            if threading.current_thread() is threading.main_thread():
                _hear_signals(_loop, close)
    return _loop


def _hear_signals(loop: asyncio.AbstractEventLoop, close: Close) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, partial(_end, loop, close, before))


def _end(
    loop: asyncio.AbstractEventLoop,
    close: Close,
    before: Callable[[int, FrameType | None], Any],
    number: int,
    frame: FrameType | None,
) -> None:
    global _ending
    _ending = _ending or asyncio.run_coroutine_threadsafe(close(), loop)
    before(number, frame)


def _forget() -> None:
    global _loop, _lock, _ending
    _loop, _lock, _ending = None, threading.Lock(), None


# A forked child has the parent's loop object, and no thread that runs it.
os.register_at_fork(after_in_child=_forget)
