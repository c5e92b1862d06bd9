"""The seam: what every runner does."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from uuid import UUID

from a2a_app import conf, database
from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.push.deliverer import Deliverer
from a2a_app.runners.reap import reap
from a2a_app.runners.worker import Worker
from a2a_app.store.claims import Claim, WorkerSlot
from a2a_app.store.writes.append import enqueue_nothing

logger = logging.getLogger(__name__)


async def sweep_for_ever(sweep: Callable[[], Awaitable[None]]) -> None:
    """Sweep every SWEEP_SECONDS, the first time at once; any number of processes may do so."""
    while True:
        current = conf.current()
        pause = current.sweep_seconds
        try:
            await sweep()
        except Exception as error:  # it has to live on
            if not isinstance(error, database.AWAY):
                logger.warning("Could not look for runs that nobody works on.", exc_info=True)
            # Back after a while, it has only leases that are over. Their workers come first.
            pause = max(pause, current.lease_seconds)
        await asyncio.sleep(pause)


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
        self._workers = PerLoop(Worker)
        self._background = PerLoop(self._begin_background)

    def enqueue(self, task_id: UUID) -> None:
        """Queue the task's next turn where a queue is in our database.

        Called without an event loop, in the transaction that stores the turn: both or neither.
        """
        enqueue_nothing(task_id)

    def reserve_slot(self) -> AbstractContextManager[WorkerSlot | None]:
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

    def recover(self, task_id: UUID, missed: WorkerSlot) -> None:
        """Run a turn that may be stored as claimed by a reserved slot, though storing it failed."""
        self.worker.recover(task_id, missed)

    @abstractmethod
    async def find_unstarted(self) -> list[UUID]:
        """Find tasks with a turn that nobody has begun, and that this process should see to."""

    async def enqueue_again(self, task_id: UUID) -> None:
        """See to a turn that nobody has begun; may raise."""
        await self.start(task_id)

    async def begin(self) -> None:
        """Begin to sweep, and to deliver to webhooks, on this event loop; may be called twice."""
        if not self.worker.closing:
            self._background.get()

    def _begin_background(self) -> Background:
        loop = asyncio.get_running_loop()
        deliverer = Deliverer(self.worker.name)
        # Fresh contexts: these outlive the request that begins them, and its thread.
        return Background(
            sweep=loop.create_task(sweep_for_ever(self.sweep), context=Context()),
            deliver=loop.create_task(deliverer.deliver_for_ever(), context=Context()),
            deliverer=deliverer,
        )

    async def close(self) -> None:
        """End this event loop's work: what is under way is finished or given up."""
        background = self._background.pop()
        if background is not None:
            background.sweep.cancel()
            background.deliver.cancel()
            await background.deliverer.close()
        # It stays where it is: closed, it takes nothing that comes after this.
        await self.worker.close()

    async def sweep(self) -> None:
        """Deal with every run whose worker is gone, then see to what nobody has begun (R6, R7)."""
        reaped = await reap(self.enqueue)
        for task_id in reaped.begun_again:
            await self.start(task_id)
        for task_id in await self.find_unstarted():
            await self.enqueue_again(task_id)

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
        return self._workers.get()
