"""Waits: what the code of a turn waits for, and for how long it has done nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

_step: ContextVar[str] = ContextVar("a2a_step", default="")
_is_branch: ContextVar[bool] = ContextVar("a2a_is_branch", default=False)


@contextmanager
def inside_step(name: str) -> Iterator[None]:
    """Have what is called here know that it is the work of a step."""
    token = _step.set(name)
    try:
        yield
    finally:
        _step.reset(token)


def refuse_inside_step() -> None:
    """Raise RuntimeError in the work of a step, where verbs are not used.

    An attempt that gets the step's result would miss them, and a sleep would wait for its own step.
    """
    if name := _step.get():
        raise RuntimeError(
            f"The function of the step {name!r} uses a verb of the turn, which is missed when the "
            "step is not done again. Use verbs before and after steps."
        )


@dataclass(slots=True, eq=False)
class Wait:
    """Something that a turn waits for."""

    until: datetime | None
    """Until when, on the database's clock; None: for ever."""
    has_come: Callable[[], bool] = lambda: False
    """Tells whether it is there. It is called in the transaction that puts the run away."""
    rung: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it may be there."""

    async def ring_within(self, seconds: float) -> bool:
        """Wait for some seconds until it is rung; tell whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await self.rung.wait()
        except TimeoutError:
            return False
        self.rung.clear()
        return True


class Waits:
    """All that a turn waits for now, beside the steps that are under way."""

    def __init__(self) -> None:
        """Make it on the event loop of the turn."""
        self._loop = asyncio.get_running_loop()
        self._open: set[Wait] = set()
        self._steps = 0
        self._branches = 0
        self._leaving = 0
        self._changed = asyncio.Event()
        self._seconds = 0.0
        self._since: float | None = None
        self._ended_at = 0.0

    @property
    def has_steps(self) -> bool:
        """Whether a step is under way."""
        return bool(self._steps)

    @property
    def are_all(self) -> bool:
        """Whether the turn waits, and no step is under way."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """For how long the turn has done nothing but wait."""
        return self._seconds + (0.0 if self._since is None else self._loop.time() - self._since)

    @property
    def ended_at(self) -> float:
        """Until when it has done so, on the event loop's clock."""
        return self._ended_at if self._since is None else self._loop.time()

    @property
    def until(self) -> datetime | None:
        """When the first of the waits is over; None: none has an end."""
        return min((wait.until for wait in self._open if wait.until is not None), default=None)

    @asynccontextmanager
    async def for_step(self) -> AsyncIterator[None]:
        """Count a step as under way. While the run is being put away, none begins."""
        while self._leaving:
            await self._change()
        self._steps += 1
        self._note()
        try:
            yield
        finally:
            self._steps -= 1
            self._note()

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Count what is done side by side with others, which is at rest while it waits."""
        token = _is_branch.set(True)
        self._branches += 1
        try:
            yield
        finally:
            _is_branch.reset(token)
            self._branches -= 1
            self._note()

    @contextmanager
    def branching(self) -> Iterator[None]:
        """Do not count the branch, if it is one, in which others are waited for."""
        counted = int(_is_branch.get())
        self._branches -= counted
        try:
            yield
        finally:
            self._branches += counted

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Let no step and no wait begin while the run is being put away."""
        self._leaving += 1
        try:
            yield
        finally:
            self._leaving -= 1
            self._changed.set()

    @contextmanager
    def also(self, wait: Wait) -> Iterator[None]:
        """Count a wait as open, once where it is counted already."""
        if wait in self._open:
            yield
            return
        self._open.add(wait)
        self._note()
        try:
            yield
        finally:
            self._open.discard(wait)
            self._note()

    def leave(self) -> None:
        """Let no step and no wait begin any more, since the run is put away."""
        self._leaving += 1

    async def until_no_step(self) -> None:
        """Wait until no step is under way."""
        while self._steps:
            await self._change()

    async def all_rest(self, wait: Wait, seconds: float | None) -> bool:
        """Wait until no step and no branch is at work.

        Args:
            wait: A wait that is open.
            seconds: How long at most; None: for ever.

        Returns:
            Whether that is so. False: the wait was rung, or the time is over.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._steps or self._branches > len(self._open):
                    if wait.rung.is_set():
                        wait.rung.clear()
                        return False
                    await self._change()
        except TimeoutError:
            return False
        return True

    def ring(self, wait: Wait | None = None) -> None:
        """Have a wait look whether it is over; None: every one."""
        for each in self._open if wait is None else (wait,):
            each.rung.set()
        self._changed.set()

    def have_come(self) -> bool:
        """Tell whether something is there that is waited for, as the database has it."""
        return any(wait.has_come() for wait in list(self._open))

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _note(self) -> None:
        self._changed.set()
        waits_only = bool(self._open) and not self._steps
        if waits_only and self._since is None:
            self._since = self._loop.time()
        elif not waits_only and self._since is not None:
            self._ended_at = self._loop.time()
            self._seconds += self._ended_at - self._since
            self._since = None
