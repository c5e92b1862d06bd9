"""The app in a test's process: how it is set, which connections it has, and its end."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings

from a2a_app import conf, database, runners
from a2a_app.concurrency.event_loop import loops_of_tests
from a2a_app.runners.loops import wait_for_background
from a2a_app.testing.callers import AUTHENTICATOR
from a2a_app.testing.clock import Clock
from a2a_app.testing.connections import SharedConnections, Turnstile, connections_of_test

FOR_EVER = 1e9
_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


class Runtime:
    """The app as it is set up for a test, and the event loops on which it runs there."""

    def __init__(self, shared: dict[str, BaseDatabaseWrapper]) -> None:
        """Set the app up for a test with these connections for all threads, if it has any."""
        self._shares = bool(shared)
        self._users: Counter[asyncio.AbstractEventLoop | None] = Counter()
        self._clocks: dict[asyncio.AbstractEventLoop, Clock] = {}
        with ExitStack() as stack:
            stack.enter_context(_as_in_a_test())
            connected = stack.enter_context(SharedConnections(shared))
            self._stack = stack.pop_all()
        self.turnstile: Turnstile = connected.turnstile

    def clock(self, loop: asyncio.AbstractEventLoop) -> Clock:
        """Return the clock of an event loop, which is taken over with the first question."""
        if loop not in self._clocks:
            self._clocks[loop] = Clock(loop)
        return self._clocks[loop]

    def enter(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Note one more user, of an event loop or of none."""
        self._users[loop] += 1
        if loop is not None:
            loops_of_tests.add(loop)

    def leave(self, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Note one user less; tell whether it was the last one of its event loop, or of all."""
        self._users[loop] -= 1
        is_last = not self._users[loop]
        if is_last and loop is not None:
            loops_of_tests.discard(loop)
        return is_last

    def undo(self) -> None:
        """Set everything back."""
        # Code without `async` that asks an agent has it work there.
        wait_for_background(self.end_loop)
        # Its threads have connections of their own where none are shared.
        database.close()
        self._stack.close()

    async def end_loop(self) -> None:
        """End the app on this event loop: turns under way are given up."""
        clock = self._clocks.pop(asyncio.get_running_loop(), None)
        if clock is not None:
            clock.restore()
        runner = runners.current()
        await runner.close()
        runner.forget_worker()
        if not self._shares:
            # Django's own thread keeps its connection, and a database in use is not dropped.
            await sync_to_async(connections.close_all)()


_runtime: Runtime | None = None


@contextmanager
def app_for_test(shared: dict[str, BaseDatabaseWrapper] | None = None) -> Iterator[Runtime]:
    """Have the app set up for a test inside the `with`, as clients do by themselves.

    It is for tests that call the app without them, such as those of a view that asks an agent.

    Args:
        shared: The connections for all threads. None: those of this thread.

    Raises:
        Exception: The test may not use the database, as Django or pytest-django says.
    """
    global _runtime
    runtime = _runtime = _runtime or Runtime(permitted_connections() if shared is None else shared)
    runtime.enter()
    try:
        yield runtime
    finally:
        if runtime.leave():
            _runtime = None
            runtime.undo()


@asynccontextmanager
async def running() -> AsyncIterator[Runtime]:
    """Have the app run on this event loop inside the `with`; raises as `app_for_test` does."""
    shared = {} if _runtime else connections_of_test()
    if _runtime is None and not shared:
        shared = await sync_to_async(permitted_connections)()
    loop = asyncio.get_running_loop()
    with app_for_test(shared) as runtime:
        runtime.enter(loop)
        try:
            yield runtime
        finally:
            if runtime.leave(loop):
                await runtime.end_loop()


def permitted_connections() -> dict[str, BaseDatabaseWrapper]:
    """Return this thread's connections to be shared; raise if the test may use no database."""
    connections[database.alias()].ensure_connection()
    return connections_of_test()


def _as_in_a_test() -> override_settings:
    """Have turns run in this process, and messages go no further."""
    given = getattr(settings, conf.NAME, {})
    return override_settings(
        **{
            conf.NAME: {
                "PUT_AWAY_SECONDS": FOR_EVER,  # waits go by the clock that a test may put forward
                **given,
                "RUNNER": "embedded",
                "SHUTDOWN_SECONDS": 0,
                "AUTHENTICATION": (AUTHENTICATOR, *given.get("AUTHENTICATION", ())),
            },
            "CHANNEL_LAYERS": _MEMORY,
        }
    )


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Limit the time of what is awaited inside, whatever a test does to the loop's clock.

    Raises:
        TimeoutError: It has taken longer.
    """
    loop = asyncio.get_running_loop()
    is_over = False

    def end() -> None:
        if not is_over:
            limit.reschedule(loop.time())

    timer = threading.Timer(seconds, loop.call_soon_threadsafe, [end])
    timer.daemon = True
    timer.start()
    try:
        async with asyncio.timeout(None) as limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"{what} within {seconds:g} seconds.") from None
        raise
    finally:
        is_over = True
        timer.cancel()
