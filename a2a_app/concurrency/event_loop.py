"""Event loops: one object for each, work that outlives its caller, code that must not end them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypeVar

from asgiref.sync import AsyncToSync

logger = logging.getLogger(__name__)

T = TypeVar("T")
Refusals: TypeAlias = type[Exception] | tuple[type[Exception], ...]

# How often within a timeout it is checked whether answers came. Only if none did at all of these
# checks has the service been silent: an event loop that was blocked has read no answers either, but
# has checked only once.
CHECKS = 5
# The longest time that one caller waits while others are answered, in timeouts.
LONGEST_WAIT = 12

# Django has `async_to_sync` make the event loop of a test with `async` too. On those that are here
# the app works as on one that lasts, and `a2a_app.testing` ends it.
loops_of_tests: set[asyncio.AbstractEventLoop] = set()

# An event loop refers to its tasks weakly. Without this set they could be garbage-collected.
_unfinished: set["asyncio.Task[Any]"] = set()


def is_brief() -> bool:
    """Tell whether the running event loop is one that `async_to_sync` has made for one call."""
    loop = asyncio.get_running_loop()
    return loop in AsyncToSync.loop_thread_executors and loop not in loops_of_tests


def wait_in_thread(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Have an event loop do work, and return its result to another thread, which waits for it.

    Raises:
        RuntimeError: The event loop has ended. The work is not begun.
    """
    try:
        result = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:
        work.close()  # or Python would warn that it was never awaited
        raise
    return result.result()


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

    def all(self) -> list[T]:
        """Return the objects of all event loops that are not closed."""
        return [each for loop, each in list(self._objects.items()) if not loop.is_closed()]

    def _forget_closed_loops(self) -> None:
        # Weak references to loops would not do: most objects refer to their loop, through a task.
        for loop in [each for each in list(self._objects) if each.is_closed()]:
            self._objects.pop(loop, None)


class SharedTimeout:
    """A timeout for a service that many callers ask at once: an answer to any of them extends it.

    With a timeout for each caller alone, a service that is busy with the others would seem to be
    away.
    """

    def __init__(self) -> None:
        # Each wait under way, with the time at which it began.
        self._waiting: dict[asyncio.Timeout, float] = {}
        self._answers = 0
        self._checked_answers = 0
        self._silent_checks = 0
        self._next_check: asyncio.TimerHandle | None = None

    async def wait(self, answer: Awaitable[T], seconds: float) -> T:
        """Wait for an answer and return it. An error that the service raises is an answer too.

        Args:
            answer: The answer to this caller.
            seconds: How long the service may be silent to all callers.

        Raises:
            TimeoutError: It was silent for so long, or did not answer this caller for LONGEST_WAIT
                times as long.
        """
        limit = asyncio.timeout(None)
        self._waiting[limit] = asyncio.get_running_loop().time()
        if self._next_check is None:
            self._schedule_check(seconds)
        try:
            async with limit:
                return await answer
        finally:
            del self._waiting[limit]
            self._answers += not limit.expired()

    def _schedule_check(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._next_check = loop.call_later(seconds / CHECKS, self._check, seconds)

    def _check(self, seconds: float) -> None:
        self._next_check = None
        is_silent = bool(self._waiting) and self._answers == self._checked_answers
        self._silent_checks = self._silent_checks + 1 if is_silent else 0
        self._checked_answers = self._answers
        self._end_waits(0 if self._silent_checks == CHECKS else LONGEST_WAIT * seconds)
        self._silent_checks %= CHECKS
        if self._waiting:
            self._schedule_check(seconds)

    def _end_waits(self, seconds: float) -> None:
        """End the wait of each caller that has waited for so many seconds."""
        now = asyncio.get_running_loop().time()
        for limit, since in self._waiting.items():
            if now - since >= seconds and not limit.expired():
                limit.reschedule(now)


class Contained:
    """A context manager for a project's code: nothing that it raises can end or hang the server.

    `SystemExit` and `KeyboardInterrupt` would end the event loop, with all else that it serves. No
    future accepts `StopIteration`, so that a caller would wait for ever. `CancelledError` would
    look like the cancellation of the request, which nobody answers. They become `RuntimeError`.
    Other exceptions, and the cancellation of the current task, pass unchanged.

    The tasks that the code starts on its event loop, by `create_task`, `gather` or a `TaskGroup`,
    are contained too, and so are those that they start.
    """

    def __init__(self, name: object) -> None:
        """Contain the code of that name; the error repeats it."""
        self._name = name

    def __enter__(self) -> None:
        with suppress(RuntimeError):  # a thread without an event loop
            _contain_tasks(asyncio.get_running_loop())
        self._outer = _contained_code.set(self._name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _contained_code.reset(self._outer)
        contained = isinstance(error, SystemExit | KeyboardInterrupt | StopIteration) or (
            isinstance(error, asyncio.CancelledError) and not _is_cancelled()
        )
        if contained:
            raise RuntimeError(f"{self._name} raised {error!r}") from error


def _is_cancelled() -> bool:
    """Tell whether somebody has cancelled the current task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a thread without an event loop
        return False
    return task is not None and task.cancelling() > 0


# The name of the project's code that runs in this context. Tasks inherit it with their context.
_contained_code: ContextVar[object] = ContextVar("a2a_contained_code", default=None)


def _contain_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Contain the tasks that the project's code will start on an event loop.

    asyncio raises the `SystemExit` of a task out of the event loop, before anybody who waits for
    the task could catch it. Only the task's own coroutine is early enough, and only the loop's task
    factory sees each coroutine before its first step, which an eager task takes at once.
    """
    former = loop.get_task_factory()
    if not isinstance(former, _ContainingFactory):
        loop.set_task_factory(_ContainingFactory(former))


class _ContainingFactory:
    """A task factory that contains the project's tasks, and leaves all others as they are."""

    def __init__(self, former: Any) -> None:
        """Make tasks by the loop's former factory; None: as asyncio does."""
        self._former = former

    def __call__(
        self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any
    ) -> "asyncio.Future[Any]":
        name = _contained_code.get()
        if name is not None and not isinstance(work, _ContainedCoroutine):
            work = _ContainedCoroutine(work, name)
        if self._former is None:
            return asyncio.Task(work, loop=loop, **options)
        made: asyncio.Future[Any] = self._former(loop, work, **options)
        return made


class _ContainedCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine whose `SystemExit` and `KeyboardInterrupt` become `RuntimeError`.

    No `async def` around the other one, which would never be awaited, with a warning, if its task
    were cancelled before its first step.
    """

    def __init__(self, work: Any, name: object) -> None:
        self._work, self._name = work, name

    def send(self, value: Any) -> Any:
        return self._step(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._work.throw, *error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        return self._work.__await__()

    def __getattr__(self, name: str) -> Any:
        # What asyncio shows of a task: the code and the frame of its coroutine, and its name.
        return getattr(self._work, name)

    def _step(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"{self._name} raised {error!r}") from error
