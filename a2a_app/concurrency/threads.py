"""Threads for work that would block an event loop."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeAlias, TypeVar

from django.db import connections

# How often work is looked at that may have taken too long.
CHECK_SECONDS = 0.5

T = TypeVar("T")
Outcome: TypeAlias = tuple[T | None, BaseException | None]


class Job(Generic[T]):
    """Work for a thread, and a way to wait for its outcome on the event loop that it came from.

    A coroutine that waits may be cancelled. The work goes on to its end.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        """Make a job of work. Call it on the event loop that will wait."""
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Outcome[T]] = self._loop.create_future()

    def do(self) -> Outcome[T]:
        """Do the work in this thread; return its result and None, or None and what it raised."""
        try:
            return self._work(), None
        except BaseException as raised:  # raised again in the coroutine that waits
            return None, raised

    def report(self, outcome: Outcome[T]) -> None:
        """Hand the outcome to the coroutine that waits, from any thread."""
        # On a closed loop no coroutine waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set_outcome, outcome)

    async def outcome(self) -> T:
        """Wait until the work is done; return its result, or raise what it raised."""
        result, error = await self._outcome
        if error is None:
            return result  # type: ignore[return-value]  # the work returned it, so it is a T
        try:
            # Not by the future, which accepts no StopIteration: this coroutine would wait for ever.
            raise error
        finally:
            del error  # its traceback refers to this frame, which refers to it

    def _set_outcome(self, outcome: Outcome[T]) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)


class Pool:
    """A few threads, started as they are needed. The one that was used last gets the next work.

    So work that comes one piece after the other is done by one thread each time. That thread is
    still awake, and its data is in the processor's caches. Work that comes while all threads are
    busy waits, in order, for whichever is free first: one more is started for it, if there may be
    one, and that may take longer, such as to connect.
    """

    def __init__(
        self,
        size: int,
        *,
        name: str,
        at_end: Callable[[], None],
        at_start: Callable[[], None] | None = None,
    ) -> None:
        """Make a pool that has no threads yet.

        Args:
            size: The greatest number of threads.
            name: The name of the threads, to which each adds its number.
            at_end: Called in each thread as it ends.
            at_start: Called in each thread as it starts. It must raise nothing.
        """
        self._size, self._name = size, name
        self._at_start, self._at_end = at_start, at_end
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._starting = 0
        self._free: list[SimpleQueue[Job[object] | None]] = []
        self._waiting: deque[Job[object]] = deque()
        self._closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """Do work in one of the threads; return its result, or raise what it raises."""
        job = Job(work)
        self._submit(job)  # type: ignore[arg-type]  # the pool does not look at the result
        return await job.outcome()

    @property
    def is_idle(self) -> bool:
        """Whether no work is under way."""
        with self._lock:
            return len(self._free) == len(self._threads)

    def close(self, seconds: float | None = None) -> None:
        """End the threads once all work is done, and wait for that; at most for so many seconds."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for inbox in free:
            inbox.put(None)
        until = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(until and max(0.0, until - time.monotonic()))

    def _submit(self, job: Job[object]) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("The threads have ended.")
            if not self._free:
                # Those that are starting will do what waits already.
                if len(self._waiting) >= self._starting and len(self._threads) < self._size:
                    self._start_thread()
                self._waiting.append(job)
                return
            inbox = self._free.pop()
        inbox.put(job)

    def _start_thread(self) -> None:
        name = f"{self._name}_{len(self._threads)}"
        # A daemon, since a thread that waits for work must not keep its process from ending.
        thread = threading.Thread(target=self._do_jobs, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The process ends, or may have no more threads. Those that there are do the work.
            if not self._threads:
                raise
            return
        self._threads.append(thread)
        self._starting += 1

    def _do_jobs(self) -> None:
        if self._at_start is not None:
            self._at_start()
        inbox: SimpleQueue[Job[object] | None] = SimpleQueue()
        job = self._next_job(inbox, is_first=True) or inbox.get()
        while job is not None:
            outcome = job.do()
            # Before the report: a caller that then has more work finds this thread free.
            next_job = self._next_job(inbox)
            job.report(outcome)
            del job, outcome  # else they would stay in memory until there is another job
            job = next_job or inbox.get()
        self._at_end()

    def _next_job(
        self, inbox: "SimpleQueue[Job[object] | None]", *, is_first: bool = False
    ) -> Job[object] | None:
        """Return a job that waits. If there is none, the next one will come into the inbox."""
        with self._lock:
            self._starting -= is_first
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                inbox.put(None)
            elif is_first:
                self._free.insert(0, inbox)  # others were used since it was started
            else:
                self._free.append(inbox)
        return None


class Watch(Generic[T]):
    """Interrupts work that takes too long: one thread looks at that of all the others.

    A thread that waits for a socket cannot end its own wait, and nobody else hears of it. What it
    works with is interrupted from outside, so that the wait ends with an error.
    """

    def __init__(self, interrupt: Callable[[T], None], *, name: str) -> None:
        """Make a watch, whose thread is started with the first work.

        Args:
            interrupt: Called with the subject of work that takes too long, and again each time that
                it has taken as long once more. It must not wait, and must raise nothing.
            name: The name of the thread.
        """
        self._interrupt, self._name = interrupt, name
        # When the work of each thread has taken too long, how long that is, and its subject.
        self._work: dict[int, tuple[float, float, T]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, subject: T, seconds: float) -> Iterator[None]:
        """Watch over the work inside the `with`, which the calling thread does with a subject."""
        if self._thread is None:
            looking = threading.Thread(target=self._look, name=self._name, daemon=True)
            looking.start()  # raises where there may be no more threads
            self._thread = looking
        thread = threading.get_ident()
        self._work[thread] = (time.monotonic() + seconds, seconds, subject)
        try:
            yield
        finally:
            self._work.pop(thread, None)

    def _look(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            now = time.monotonic()
            for thread, work in list(self._work.items()):
                until, seconds, subject = work
                if now >= until and self._work.get(thread) is work:
                    self._work[thread] = (now + seconds, seconds, subject)
                    self._interrupt(subject)


async def run_in_own_thread(work: Callable[[], T], *, ended: asyncio.Event | None = None) -> T:
    """Do work in a new thread and return its result. The thread has a copy of the caller's context.

    The thread is a daemon, so that an agent that never returns does not keep its process from
    ending. The caller may be cancelled; the thread cannot be.

    Args:
        work: The work.
        ended: Cleared now, and set once the work has returned, which a cancelled caller does not
            wait for.
    """
    loop = asyncio.get_running_loop()
    job = Job(partial(copy_context().run, _with_own_connections, work))

    def do() -> None:
        job.report(job.do())
        if ended is not None:
            # On a closed loop nobody waits for it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=do, name="a2a-agent", daemon=True).start()
    if ended is not None:
        # Only now, since there may be no more threads. It is set by way of the event loop, later.
        ended.clear()
    return await job.outcome()


def _with_own_connections(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        # Connections that the agent's own queries opened belong to this thread alone.
        connections.close_all()
