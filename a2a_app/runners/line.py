"""The line of turns that wait in a worker, in which owners take turns."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextvars import Context
from functools import partial
from uuid import UUID

from a2a_app import database
from a2a_app.agents import registry
from a2a_app.concurrency.shares import Shares
from a2a_app.store.waiting import WaitingTurn, find_waiting

# How many turns wait here, and how many of one owner. More of them wait in the database only.
MAX_WAITING = 10_000
MAX_OF_OWNER = 100


class Line(dict[str, dict[UUID, None]]):
    """The tasks that wait, by owner. The owner that comes next is the first one."""

    def __init__(self) -> None:
        super().__init__()
        self._after = -1
        self._total = 0

    def add(self, task_id: UUID, owner: str) -> bool:
        """Add a task; return False if it is not there, since too many are."""
        of_owner = self.get(owner, {})
        if task_id in of_owner:
            return True
        if self._total >= MAX_WAITING or len(of_owner) >= MAX_OF_OWNER:
            return False
        self.setdefault(owner, of_owner)[task_id] = None
        self._total += 1
        return True

    def in_turn(self) -> Iterator[tuple[UUID, str]]:
        """Yield the oldest task of each owner, in the order of the line, until that changes."""
        for owner, tasks in self.items():
            yield next(iter(tasks)), owner

    def remove(self, task_id: UUID, owner: str) -> None:
        """Remove a task whose turn begins, and put its owner at the end of the line."""
        tasks = self.pop(owner)
        del tasks[task_id]
        self._total -= 1
        if tasks:
            self[owner] = tasks

    def clear(self) -> None:
        """Remove all."""
        super().clear()
        self._total = 0

    async def search(
        self,
        *,
        limit: int,
        room: Shares[str],
        in_turn: bool = False,
        besides: Collection[tuple[str, str]] = (),
    ) -> list[WaitingTurn]:
        """Find turns that wait in the database, and that there is room for.

        Args:
            limit: How many at most.
            room: The slots that owners have.
            in_turn: Whether owners take turns even if each of them may have more.
            besides: Agents with revisions of their code whose turns are left to others.
        """
        search = partial(find_waiting, limit=limit, room=room, in_turn=in_turn, besides=besides)
        try:
            found, self._after = await database.read(
                search, agents=registry.slugs(), after=self._after
            )
        except database.AwayError:  # which is logged
            return []
        return found


class Lookout:
    """Looks for turns that a worker has passed over, whenever another one is over."""

    def __init__(self, start_found: Callable[[], Awaitable[bool]]) -> None:
        """Make it from what starts such turns, and returns whether there may be more."""
        self._start_found = start_found
        self.has_more = False
        """Whether turns that this worker may begin wait in the database only."""
        self._is_wanted = False
        self._looking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Look soon; and once more, where this is called during a look."""
        self._is_wanted = True
        if self._looking is None:
            work = self._look()
            self._looking = asyncio.get_running_loop().create_task(work, context=Context())

    async def _look(self) -> None:
        try:
            while self._is_wanted:
                self._is_wanted = False
                self.has_more = await self._start_found()
        finally:
            self._looking = None
