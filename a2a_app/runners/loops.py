"""An event loop in a thread of its own, for workers of queues that are synchronous."""

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
_closing: "Future[None] | None" = None


def run_in_background(work: Coroutine[Any, Any, None], close: Close) -> None:
    """Do work on the one background loop of this process, and return when it is done.

    Args:
        work: The work.
        close: Ends all work on the loop. It is called when the process is asked to end, since a
            queue's own worker then waits for the job it has, for as long as that takes.
    """
    asyncio.run_coroutine_threadsafe(work, _background(close)).result()
    if _closing is not None:
        # The process may be gone as soon as this returns.
        _closing.result()


def _background(close: Close) -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="a2a-loop", daemon=True).start()
            if threading.current_thread() is threading.main_thread():
                _handle_signals(_loop, close)
    return _loop


def _handle_signals(loop: asyncio.AbstractEventLoop, close: Close) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)
        if callable(previous):
            signal.signal(number, partial(_on_signal, loop, close, previous))


def _on_signal(
    loop: asyncio.AbstractEventLoop,
    close: Close,
    previous: Callable[[int, FrameType | None], Any],
    number: int,
    frame: FrameType | None,
) -> None:
    global _closing
    _closing = _closing or asyncio.run_coroutine_threadsafe(close(), loop)
    previous(number, frame)


def _reset() -> None:
    global _loop, _lock, _closing
    _loop, _lock, _closing = None, threading.Lock(), None


# A forked child has the loop object of its parent, but no thread that runs it.
os.register_at_fork(after_in_child=_reset)
