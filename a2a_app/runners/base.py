"""The seam: what every runner does."""

import asyncio
import weakref
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from uuid import UUID

from a2a_app.push.deliverer import Deliverer
from a2a_app.runners.reap import reap
from a2a_app.runners.sweep import sweep_for_ever
from a2a_app.runners.worker import Worker
from a2a_app.store.append import no_order
from a2a_app.store.claims import Claim, Claimant


@dataclass(frozen=True, slots=True)
class Background:
    """What a runner does on an event loop besides working on turns."""

    sweep: "asyncio.Task[None]"
    deliver: "asyncio.Task[None]"
    deliverer: Deliverer


class Runner(ABC):
    """Sees to it that turns run. What it is told is a hint: the order itself is in the database.

    In each event loop that uses it it has one worker, idle where turns run elsewhere, and one
    sweep. A kind of runner says how a turn comes to a worker, and nothing else.
    """

    runs_here = False
    """Whether turns mostly run on the event loop that stores them."""

    def __init__(self) -> None:
        self._workers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Worker] = (
            weakref.WeakKeyDictionary()
        )
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Background] = (
            weakref.WeakKeyDictionary()
        )

    def order(self, task_id: UUID) -> None:
        """Queue the task's next turn where a queue is in our database.

        Called without an event loop, in the transaction that stores the turn: both or neither.
        """
        no_order(task_id)

    def place(self) -> AbstractContextManager[Claimant | None]:
        """Keep a place for a turn that is about to be stored, where turns run on this event loop.

        Whoever this gives has the turn from the start; None: the turn is to be ordered.
        """
        return nullcontext()

    @abstractmethod
    async def start(self, task_id: UUID, claim: Claim | None = None) -> None:
        """See that the task's next turn runs soon; does not wait for it, and may be told twice.

        Called once the turn is stored, with its claim where `place` had a place for it.
        Raises nothing: what was not started, the sweep finds.
        """

    def take_up(self, task_id: UUID, missed: Claimant) -> None:
        """See to a turn that may be stored as a claimant's of `place`, though storing it failed."""
        self.worker.take_up(task_id, missed)

    @abstractmethod
    async def unbegun(self) -> list[UUID]:
        """Find tasks with a turn that nobody has begun, and that this process should see to."""

    async def remind(self, task_id: UUID) -> None:
        """See to a turn that nobody has begun; may raise."""
        await self.start(task_id)

    async def begin(self) -> None:
        """Begin to sweep, and to deliver to webhooks, on this event loop; may be told twice."""
        loop = asyncio.get_running_loop()
        if loop not in self._loops and not self.worker.closing:
            deliverer = Deliverer(self.worker.name)
            # Fresh contexts: these outlive the request that begins them, and its thread.
            self._loops[loop] = Background(
                sweep=loop.create_task(sweep_for_ever(self.sweep), context=Context()),
                deliver=loop.create_task(deliverer.deliver_for_ever(), context=Context()),
                deliverer=deliverer,
            )

    async def close(self) -> None:
        """End this event loop's work: what is under way is finished or given up."""
        background = self._loops.pop(asyncio.get_running_loop(), None)
        if background is not None:
            background.sweep.cancel()
            background.deliver.cancel()
            await background.deliverer.close()
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
