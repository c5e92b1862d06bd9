"""The seam: what every runner does."""

import asyncio
import weakref
from abc import ABC, abstractmethod
from uuid import UUID

from a2a_app.runners.reap import reap
from a2a_app.runners.sweep import sweep_for_ever
from a2a_app.runners.worker import Worker
from a2a_app.store.append import no_order


class Runner(ABC):
    """Sees to it that turns run. What it is told is a hint: the order itself is in the database.

    In each event loop that uses it it has one worker, idle where turns run elsewhere, and one
    sweep. A kind of runner says how a turn comes to a worker, and nothing else.
    """

    def __init__(self) -> None:
        self._workers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Worker] = (
            weakref.WeakKeyDictionary()
        )
        self._sweeps: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = (
            weakref.WeakKeyDictionary()
        )

    def order(self, task_id: UUID) -> None:
        """Queue the task's next turn where a queue is in our database.

        Called without an event loop, in the transaction that stores the turn: both or neither.
        """
        no_order(task_id)

    @abstractmethod
    async def start(self, task_id: UUID) -> None:
        """See that the task's next turn runs soon; does not wait for it, and may be told twice.

        Called once the turn is stored. Raises nothing: what was not started, the sweep finds.
        """

    @abstractmethod
    async def unbegun(self) -> list[UUID]:
        """Find tasks with a turn that nobody has begun, and that this process should see to."""

    async def remind(self, task_id: UUID) -> None:
        """See to a turn that nobody has begun; may raise."""
        await self.start(task_id)

    async def begin(self) -> None:
        """Begin to sweep on this event loop; may be told twice."""
        loop = asyncio.get_running_loop()
        if loop not in self._sweeps and not self.worker.closing:
            self._sweeps[loop] = loop.create_task(sweep_for_ever(self.sweep))

    async def close(self) -> None:
        """End this event loop's work: what is under way is finished or given up."""
        loop = asyncio.get_running_loop()
        if loop in self._sweeps:
            self._sweeps.pop(loop).cancel()
        # It stays where it is: closed, it takes nothing that comes after this.
        await self.worker.close()

    async def sweep(self) -> None:
        """Deal with every run whose worker is gone, then see to what nobody has begun (R6, R7)."""
        reaped = await reap(self.order)
        for task_id in reaped.begun_again:
            await self.start(task_id)
        for task_id in await self.unbegun():
            await self.remind(task_id)

    @abstractmethod
    async def serve(self, stop: asyncio.Event) -> None:
        """Work on turns in this process until `stop` is set: what `manage.py a2a_worker` does.

        Raises NotImplementedError, saying what to use instead, where turns run elsewhere.
        """

    def check(self) -> list[str]:
        """Say what the project lacks that this runner needs, for `manage.py check`."""
        return []

    @property
    def worker(self) -> Worker:
        """This event loop's worker."""
        loop = asyncio.get_running_loop()
        if loop not in self._workers:
            self._workers[loop] = Worker()
        return self._workers[loop]
