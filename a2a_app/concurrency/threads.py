"""Threads: work that would hold up an event loop, done beside it."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeAlias, TypeVar

from django.db import connections

T = TypeVar("T")
Outcome: TypeAlias = tuple[T | None, BaseException | None]


class Job(Generic[T]):
    """A piece of work for any thread, whose outcome is waited for on the event loop it came from.

    Whoever waits may be cancelled; the work goes on to its end.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        """Describe work; must be called on the event loop."""
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Outcome[T]] = self._loop.create_future()

    def do(self) -> Outcome[T]:
        """Do the work in this thread; gives its result, or what it raised."""
        try:
            return self._work(), None
        except BaseException as raised:  # goes to whoever waits, where it is dealt with
            return None, raised

    def tell(self, outcome: Outcome[T]) -> None:
        """Let whoever waits have the outcome, from any thread."""
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, outcome)

    async def outcome(self) -> T:
        """Wait until the work is done; gives its result, or raises what it raised."""
        result, error = await self._outcome
        if error is None:
            return result  # type: ignore[return-value]  # work gave it, so it is a T
        try:
            # Here and not by the future: that takes no StopIteration, and whoever waits would hang.
            raise error
        finally:
            del error  # its traceback knows this frame

    def _settle(self, outcome: Outcome[T]) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)


class Pool:
    """A few threads that stay, started as they are needed; the one used last has the next work.

    Who asks for one thing after the other has the same thread each time: it is awake still, and
    what it needs is in the processor's caches. What comes while all are busy waits its turn.
    """

    def __init__(self, size: int, *, name: str, at_end: Callable[[], None]) -> None:
        """Make a pool without any threads yet.

        Args:
            size: How many threads at the most.
            name: What the threads are called.
            at_end: Called in each thread as it ends.
        """
        self._size, self._name, self._at_end = size, name, at_end
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._free: list[SimpleQueue[Job[object] | None]] = []
        self._waiting: deque[Job[object]] = deque()
        self._closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """Do work in one of the threads and give its result, or raise what it raises."""
        job = Job(work)
        self._give(job)  # type: ignore[arg-type]  # nobody here looks at the result
        return await job.outcome()

    def close(self) -> None:
        """End the threads once all they were given is done, and wait for that."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for inbox in free:
            inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _give(self, job: Job[object]) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("The threads have ended.")
            if self._free:
                inbox = self._free.pop()
            elif len(self._threads) < self._size:
                inbox = self._start()
            else:
                self._waiting.append(job)
                return
        inbox.put(job)

    def _start(self) -> "SimpleQueue[Job[object] | None]":
        inbox: SimpleQueue[Job[object] | None] = SimpleQueue()
        name = f"{self._name}_{len(self._threads)}"
        # A daemon: one that waits for work must not keep its process from ending.
        thread = threading.Thread(target=self._serve, args=(inbox,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return inbox

    def _serve(self, inbox: "SimpleQueue[Job[object] | None]") -> None:
        job = inbox.get()
        while job is not None:
            outcome = job.do()
            # First: who has been told, and asks for more, finds this thread free.
            following = self._following(inbox)
            job.tell(outcome)
            del job, outcome  # they need not be kept until there is another
            job = following or inbox.get()
        self._at_end()

    def _following(self, inbox: "SimpleQueue[Job[object] | None]") -> Job[object] | None:
        """Give what waits to be done; where nothing does, the inbox gets what comes."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                inbox.put(None)
            else:
                self._free.append(inbox)
        return None


async def run_in_own_thread(work: Callable[[], T]) -> T:
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
