"""One event loop in a thread of its own, for processes whose code is synchronous.

These are the workers of queues that are synchronous, and servers that speak WSGI.
"""

import asyncio
import atexit
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Close: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_loop: asyncio.AbstractEventLoop | None = None
# A handler of signals may come while its own thread has it.
_lock = threading.RLock()
_closing: "Future[None] | None" = None
_ends_with_process = False
_handles_signals = False


def run_in_background(work: Coroutine[Any, Any, None], close: Close) -> None:
    """Do work on the one background loop of this process, and return when it is done.

    Args:
        work: The work.
        close: Ends all work on the loop. It is called once: when the process is asked to end, since
            a queue's own worker then waits for the job it has, for as long as that takes, or ends.
    """
    loop = _background()
    if threading.current_thread() is threading.main_thread():
        _handle_signals(close)
        _end_with_process(close)
    asyncio.run_coroutine_threadsafe(work, loop).result()
    if _closing is not None:
        # The process may be gone as soon as this returns.
        _closing.result()


def begin_in_background(work: Coroutine[Any, Any, None]) -> None:
    """Begin work on the background loop and do not wait for it, as a queue's own worker begins."""
    asyncio.run_coroutine_threadsafe(work, _background())


async def await_in_background(work: Coroutine[Any, Any, T], close: Close) -> T:
    """Do work on the background loop, for a caller whose own event loop is about to end.

    Args:
        work: The work.
        close: Ends all work on the loop. It is called once, when the process ends.
    """
    loop = _background()
    _end_with_process(close)
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))


def wait_for_background(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do work on the background loop, if it has begun, and return when it is done."""
    if _loop is not None:
        asyncio.run_coroutine_threadsafe(work(), _loop).result()


def begin_to_end(close: Close) -> None:
    """Begin to end all work on the loop. Any thread may call it, and a handler of signals too.

    Args:
        close: Ends all work on the loop, also such as only begins now. It is called once.
    """
    global _closing
    loop = _background()
    _closing = _closing or asyncio.run_coroutine_threadsafe(close(), loop)


def end(close: Close) -> None:
    """End all work on the loop, if there is any, as `begin_to_end` does, and wait for it."""
    if _loop is not None:
        begin_to_end(close)
    if _closing is not None:
        _closing.result()


def _end_with_process(close: Close) -> None:
    global _ends_with_process
    with _lock:
        if not _ends_with_process:
            # Only now, since Python calls first what was registered last: `close` needs the threads
            # for the database, which are ended by what their module registers.
            atexit.register(end, close)
            _ends_with_process = True


def _background() -> asyncio.AbstractEventLoop:
    """Return the background loop, which begins with the first call."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="a2a-loop", daemon=True).start()
        return _loop


def _handle_signals(close: Close) -> None:
    global _handles_signals
    if _handles_signals:
        return
    _handles_signals = True
    for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)
        if callable(previous):
            signal.signal(number, partial(_on_signal, close, previous))


def _on_signal(
    close: Close,
    previous: Callable[[int, FrameType | None], Any],
    number: int,
    frame: FrameType | None,
) -> None:
    begin_to_end(close)
    previous(number, frame)


def _reset() -> None:
    global _loop, _lock, _closing, _handles_signals
    _loop, _lock, _closing, _handles_signals = None, threading.RLock(), None, False


# A forked child has the loop object of its parent, but no thread that runs it.
os.register_at_fork(after_in_child=_reset)
