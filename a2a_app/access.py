"""Access: what lasts for long ends once its caller has lost the right to it (section 7).

A guard stands for one open stream, or for one request that waits. Each event loop has one watch
over all of its guards. It asks again who their callers are, for all of them together: when it is
told that something has changed, and every ACCESS_SECONDS in any case. Idle guards cost nothing.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar

from a2a_app import broadcast, conf, database
from a2a_app.protocol import A2AError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What ends within so long is not watched, and costs the watch nothing.
START_SECONDS = 0.25
# The pause between two looks, however much changes.
PAUSE_SECONDS = 0.5


def announce_change() -> None:
    """Have every process ask again who the callers of its streams and waiting requests are.

    Any thread may call it. It is called by itself where API keys, users or groups are saved or
    deleted. Call it, after the commit, where your project changes what its authenticators or its
    resolver of tenants go by.
    """
    broadcast.announce(broadcast.ACCESS_GROUP, {})


class Guard:
    """Ends what a caller waits for, with an error, once the caller has no access any more."""

    def __init__(
        self, watch: "Watch", claim: Any, since: float, limit: asyncio.Timeout | None = None
    ) -> None:
        """Make a guard; enter it as a context manager to have it watched.

        Args:
            watch: The watch of this event loop.
            claim: Whatever the watch's `examine` has to know of the caller.
            since: When the caller was identified, by `time.monotonic`.
            limit: The timeout in which the caller waits already, if it does.
        """
        self.claim = claim
        self.since = since
        self.refusal: A2AError | None = None
        """Why the caller has lost its access; None: it has it."""
        self._watch = watch
        self._limit = limit

    def __enter__(self) -> "Guard":
        self._watch.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watch.remove(self)

    def end(self, refusal: A2AError) -> None:
        """Interrupt what the caller waits for."""
        self.refusal = refusal
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0)

    async def wait(self, work: Awaitable[T]) -> T:
        """Wait for work and return its result.

        Raises:
            A2AError: The caller has lost its access. The work is cancelled.
        """
        try:
            async with asyncio.timeout(None) as self._limit:
                return await work
        except TimeoutError:
            if self.refusal is not None:
                raise self.refusal from None
            raise
        finally:
            self._limit = None


async def guarded(stream: AsyncGenerator[T, None], guard: Guard) -> AsyncGenerator[T, None]:
    """Yield what a stream yields, and end it with an error once its caller has lost its access."""
    async with aclosing(stream):
        with guard:
            while guard.refusal is None:
                try:
                    items = await guard.wait(anext(stream))
                except StopAsyncIteration:
                    return
                yield items
                del items  # An idle stream holds nothing of what it has sent.
            raise guard.refusal


class Watch:
    """The guards of one event loop, and the task that asks again who their callers are."""

    def __init__(
        self, examine: Callable[[Sequence[Any]], Awaitable[Sequence[A2AError | None]]]
    ) -> None:
        """Make a watch, which starts with its first guard.

        Args:
            examine: Takes the claims of many guards, and returns for each why its caller has lost
                its access; None where it has it.
        """
        self._examine = examine
        self._guards: set[Guard] = set()
        self._changed_at = 0.0
        self._due = asyncio.Event()
        self._listens = False
        self._watching: asyncio.Task[None] | None = None

    def add(self, guard: Guard) -> None:
        """Watch a guard."""
        self._guards.add(guard)
        if guard.since <= self._changed_at:
            self._due.set()  # Something has changed since its caller was identified.
        if self._watching is None or self._watching.done():
            loop = asyncio.get_running_loop()
            self._watching = loop.create_task(self._look_while_guarding(), context=Context())

    def remove(self, guard: Guard) -> None:
        """Stop watching a guard."""
        self._guards.discard(guard)

    def _note_change(self, message: broadcast.Message) -> None:
        self._changed_at = time.monotonic()
        self._due.set()

    async def _look_while_guarding(self) -> None:
        await asyncio.sleep(START_SECONDS)
        # It stays in the group after its last guard, since the next one may come at any moment.
        await broadcast.listen(broadcast.ACCESS_GROUP, self._note_change)
        if not self._listens:
            self._listens = True
            self._due.set()  # What others announced before was not heard.
        while self._guards:
            with suppress(TimeoutError):
                async with asyncio.timeout(conf.current().access_seconds):
                    await self._due.wait()
            self._due.clear()
            await self._look()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        guards = [guard for guard in self._guards if guard.refusal is None]
        try:
            refusals = await self._examine([guard.claim for guard in guards])
        except database.AwayError:
            return  # The next look tries again.
        except Exception:  # the watch must go on
            logger.warning("Could not ask again who the callers are.", exc_info=True)
            return
        for guard, refusal in zip(guards, refusals, strict=True):
            if refusal is not None:
                guard.end(refusal)
