"""The client of tests without `async`: an AsyncClient on an event loop of its own."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.agents.answers import Answer, Event
from a2a_app.client.messages import Said, Sending
from a2a_app.protocol import AgentCard
from a2a_app.testing.agents import Subject
from a2a_app.testing.async_client import AsyncClient
from a2a_app.testing.callers import SOMEBODY
from a2a_app.testing.clock import Clock
from a2a_app.testing.event_loop import LoopThread
from a2a_app.testing.runtime import Runtime, app_for_test

T = TypeVar("T")


class Client:
    """Speaks to one agent of the project in the test's own process; use as `with`.

    It is what AsyncClient is, for tests without `async`. Turns go on between its calls.
    """

    def __init__(
        self,
        agent: Subject,
        *,
        user: Any = SOMEBODY,
        version: str = protocol.VERSION,
        headers: Mapping[str, str] | None = None,
        generations: bool = False,
        seconds: float = 10.0,
    ) -> None:
        """Make a client. The arguments are those of AsyncClient."""
        self._client = AsyncClient(
            agent,
            user=user,
            version=version,
            headers=headers,
            generations=generations,
            seconds=seconds,
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise TypeError("In asynchronous code: use AsyncClient.")
        with ExitStack() as stack:
            self._runtime: Runtime = stack.enter_context(app_for_test())
            self._loop = _loops.enter()
            stack.callback(_loops.leave)
            self._run(self._client.__aenter__())
            stack.callback(self._leave)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def agent(self) -> Agent:
        """The agent."""
        return self._client.agent

    @property
    def clock(self) -> Clock:
        """The clock that the agent's limits go by."""
        return self._client.clock

    def send(self, said: Said, **how: Unpack[Sending]) -> Answer:
        """Send something, as AsyncClient does, and return the answer."""
        return self._run(self._client.send(said, **how))

    def stream(self, said: Said, **how: Unpack[Sending]) -> Iterator[Event]:
        """Send something, as AsyncClient does, and yield the events of the stream as they come."""
        return self._each(self._client.stream(said, **how))

    def subscribe(
        self, task: Answer | str, *, after: Answer | int | None = None
    ) -> Iterator[Event]:
        """Yield the task as it is now, and then its events; or those after a generation only."""
        return self._each(self._client.subscribe(task, after=after))

    def get(
        self,
        task: Answer | str,
        *,
        history_length: int | None = None,
        newer_than: Answer | int | None = None,
    ) -> Answer:
        """Return a task as it is now, or once it is newer than a generation."""
        found = self._client.get(task, history_length=history_length, newer_than=newer_than)
        return self._run(found)

    def list(self, **asked: Any) -> list[Answer]:
        """Return the caller's tasks with the agent, as AsyncClient does."""
        return self._run(self._client.list(**asked))

    def cancel(self, task: Answer | str, *, if_generation: Answer | int | None = None) -> Answer:
        """Cancel a task, if it has a generation, and return it."""
        return self._run(self._client.cancel(task, if_generation=if_generation))

    def wait(self, task: Answer | str) -> Answer:
        """Wait until a task has ended or asks for something, and return it as it is then."""
        return self._run(self._client.wait(task))

    def card(self) -> AgentCard:
        """Return the agent's card for the caller, as version 1.0 has it."""
        return self._run(self._client.card())

    def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Call a method by its name in 1.0, and return the JSON of its result."""
        return self._run(self._client.call(method, params))

    def _leave(self) -> None:
        self._run(self._client.__aexit__(None, None, None))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        # A transaction of the test itself, around a call, must not keep the app waiting.
        with self._runtime.turnstile.lent():
            return self._loop.run(work)

    def _each(self, events: AsyncGenerator[Event, None]) -> Iterator[Event]:
        async def next_event() -> Event | None:
            return await anext(events, None)

        async def close() -> None:
            await events.aclose()

        try:
            while (event := self._run(next_event())) is not None:
                yield event
        finally:
            self._run(close())


class _Loops:
    """The one event loop of all clients of a test, for as long as there is one of them."""

    def __init__(self) -> None:
        self._users = 0

    def enter(self) -> LoopThread:
        if not self._users:
            self._loop = LoopThread()
        self._users += 1
        return self._loop

    def leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._loop.end()


_loops = _Loops()
