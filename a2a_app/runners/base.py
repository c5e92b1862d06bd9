"""The base of all runners: a worker and background work on each event loop."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from a2a_app import conf, database, telemetry
from a2a_app.agents import registry
from a2a_app.concurrency.event_loop import PerLoop, is_brief
from a2a_app.database.statements import Write
from a2a_app.push.deliverer import LONGEST_PAUSE, Deliverer, delivery_lease
from a2a_app.runners import upkeep
from a2a_app.runners.canceler import Canceler
from a2a_app.runners.clock import DatabaseClock
from a2a_app.runners.loops import await_in_background
from a2a_app.runners.reap import LIMIT, expire, reap
from a2a_app.runners.waker import Waker
from a2a_app.runners.worker import Worker
from a2a_app.store import deliveries, failures, runs, waiting, workers
from a2a_app.store.claims import Claim, WorkerSlot
from a2a_app.store.durable.wakeups import Due
from a2a_app.store.runs import LostRun
from a2a_app.store.writes.append import enqueue_nothing

logger = logging.getLogger(__name__)

# How long a process that ends may take, beyond SHUTDOWN_SECONDS, to give up what is not finished.
END_SECONDS = 5.0


async def sweep_for_ever(sweep: Callable[[], Awaitable[None]]) -> None:
    """Sweep at once, and then every SWEEP_SECONDS. Any number of processes may sweep."""
    while True:
        current = conf.current()
        pause = current.sweep_seconds
        try:
            await sweep()
        except Exception as error:  # the sweep must go on
            if not isinstance(error, database.AwayError):
                logger.warning("Could not look for runs that nobody works on.", exc_info=True)
            # After an outage of the database all leases are over. The workers must have time to
            # renew them before the next sweep.
            pause = max(pause, current.lease_seconds)
        await asyncio.sleep(pause)


def _find_lost(held: list[UUID]) -> list[LostRun]:
    """Return the runs that are lost, once times that lie further ahead than they can are corrected.

    They lie so where a clock was wrong, and is put right.
    """
    runs.bring_near(conf.current().lease_time)
    deliveries.bring_near(LONGEST_PAUSE + delivery_lease())
    return runs.lost(limit=LIMIT, held=held)


def _keep_up() -> None:
    workers.forget_gone()
    failures.store()


@dataclass(frozen=True, slots=True)
class Background:
    """The work of a runner on an event loop besides its turns."""

    sweep: "asyncio.Task[None]"
    deliver: "asyncio.Task[None]"
    wake: "asyncio.Task[None]"
    cancel: "asyncio.Task[None]"
    upkeep: "list[asyncio.Task[None]]"
    deliverer: Deliverer


class Runner(ABC):
    """Brings turns to workers. The sweep finds turns in the database that did not get to one.

    On each event loop that uses it, a runner has one sweep and one worker, which is idle where
    turns run elsewhere. A kind of runner decides how a turn gets to a worker, and nothing else.
    """

    runs_here = False
    """Whether turns mostly run on the event loop that stores them."""
    needs_workers = False
    """Whether turns wait for ever while no worker is known. Each must sign on as it begins."""

    def __init__(self) -> None:
        self._workers = PerLoop(Worker)
        self._clocks = PerLoop(DatabaseClock)
        self._background = PerLoop(self._begin_background)
        self._neglected_since: float | None = None

    def enqueue(self, task_id: UUID) -> None:
        """Add the task's next turn to a queue that is in our database.

        It is called without an event loop, in the transaction that stores the turn, so that either
        both are stored or neither.
        """
        enqueue_nothing(task_id)

    def first_job(self, task_id: UUID) -> Write | None:
        """Return a SELECT that enqueues the first turn of a task; None: `enqueue` does it.

        It becomes a part of the statement that stores the task, which saves the round trips of a
        transaction. It is not used for a task that is there already.
        """
        return None

    def reserve_slot(self, owner: str) -> AbstractContextManager[WorkerSlot | None]:
        """Reserve a slot for an owner's turn that is about to be stored, if turns run here.

        The context manager returns the slot, for which the turn is stored as claimed. None: the
        turn is to be stored without a claim, and enqueued.
        """
        return nullcontext()

    @abstractmethod
    async def start(
        self, task_id: UUID, claim: Claim | None = None, owner: str | None = None
    ) -> None:
        """Start the task's next turn soon, without waiting for it. Raise nothing.

        The sweep finds a turn that could not be started. A second call for a turn does no harm.

        Args:
            task_id: The task. Its turn is stored.
            claim: The claim of the turn, if it was stored for a slot of `reserve_slot`.
            owner: The owner of the task; None: it is not known here.
        """

    def recover(self, task_id: UUID, missed: WorkerSlot) -> None:
        """Run a turn that may be stored as claimed for a slot, though an error was raised."""
        self.worker.recover(task_id, missed)

    @abstractmethod
    async def find_unstarted(self) -> list[UUID]:
        """Find the tasks with a turn that nobody has begun and that this process should start."""

    async def enqueue_again(self, task_id: UUID) -> None:
        """Start or enqueue a turn that nobody has begun; may raise."""
        await self.start(task_id)

    async def begin(self) -> None:
        """Begin the sweep and the delivery to webhooks on this event loop, but only once.

        For one that ends with a call they begin on one that lasts.
        """
        if is_brief():
            await await_in_background(self.begin(), self.end)
        elif not self.worker.is_closing:
            self._background.get()

    def _begin_background(self) -> Background:
        telemetry.start()
        if fault := database.find_fault():
            logger.error("The database cannot serve the app: %s", fault)
        if self.runs_here:
            self.worker.sign_on()
        loop = asyncio.get_running_loop()
        deliverer, waker = Deliverer(self.worker.name), Waker(self.enqueue, self._start_woken)
        # In new contexts, since they outlive the request that begins them, and its thread.
        return Background(
            sweep=loop.create_task(sweep_for_ever(self.sweep), context=Context()),
            deliver=loop.create_task(deliverer.sweep_for_ever(), context=Context()),
            wake=loop.create_task(waker.sweep_for_ever(), context=Context()),
            cancel=loop.create_task(Canceler().sweep_for_ever(), context=Context()),
            upkeep=[loop.create_task(each(), context=Context()) for each in upkeep.works()],
            deliverer=deliverer,
        )

    async def _start_woken(self, due: Due) -> None:
        await self.start(due.task_id, None, due.owner)

    async def close(self) -> None:
        """End the work on this event loop: turns under way are finished or given up."""
        self.worker.is_closing = True  # first: nothing begins anew meanwhile
        works = [self.worker.close()]
        background = self._background.pop()
        if background is not None:
            background.sweep.cancel()
            background.deliver.cancel()
            background.wake.cancel()
            background.cancel.cancel()
            for task in background.upkeep:
                task.cancel()
            works.append(background.deliverer.close())
        # The closed worker is not removed, so that it refuses turns that come after this.
        await asyncio.gather(*works)
        self._neglected_since = None

    def forget_worker(self) -> None:
        """Let this event loop have a new worker after `close`, as it does with the next test."""
        self._workers.pop()

    async def end(self) -> None:
        """End as by `close`, and soon after SHUTDOWN_SECONDS, whatever hangs. Raise nothing."""
        try:
            async with asyncio.timeout(conf.current().shutdown_seconds + END_SECONDS):
                await self.close()
        except Exception:
            logger.exception("Turns under way were not given up; their leases will run out.")

    async def sweep(self) -> None:
        """Retry or fail lost runs, and start turns that nobody has begun (R6, R7).

        Raises:
            AwayError: The database cannot serve for now.
            ExceptionGroup: Parts of it have failed. The others are done.
        """
        failures = []
        for part in (
            self._begin_again,
            self.worker.revisions.look,
            self._start_unstarted,
            self._look_for_workers,
            partial(database.run, _keep_up),
        ):
            try:
                await part()
            except database.AwayError:
                raise
            except Exception as failure:  # no turn waits for what has nothing to do with it
                failures.append(failure)
        if failures:
            raise ExceptionGroup("Parts of the sweep have failed.", failures)

    async def _begin_again(self) -> None:
        """Have turns go on whose runs are lost, or whose questions were not decided in time."""
        lost = await database.run(_find_lost, self.worker.run_ids)
        # Asked after the reading, so that no jump can come between.
        if await self._clocks.get().is_steady():
            reaped = await reap(lost, self.enqueue)
            for task_id in reaped.retried:
                await self.start(task_id)
        for task_id in await expire(self.enqueue):
            await self.start(task_id)

    async def _start_unstarted(self) -> None:
        for task_id in await self.find_unstarted():
            await self.enqueue_again(task_id)

    async def _look_for_workers(self) -> None:
        patience = timedelta(seconds=conf.current().sweep_seconds)
        slugs = registry.slugs()
        if not await database.read(waiting.are_neglected, agents=slugs, patience=patience):
            self._neglected_since = None
        elif self._neglected_since is None:
            self._neglected_since = time.monotonic()
        if telemetry.active is not None:
            waits = await database.read(waiting.count_by_agent, slugs)
            telemetry.active.note_waiting(waits)

    @property
    def seconds_neglected(self) -> float:
        """For how long sweeps have found turns that wait, and nobody at work on any; else 0."""
        since = self._neglected_since
        return 0.0 if since is None else time.monotonic() - since

    @abstractmethod
    async def serve(self, stop: asyncio.Event) -> None:
        """Work on turns in this process until `stop` is set, for `manage.py a2a_worker`.

        Raises:
            NotImplementedError: Turns run elsewhere. The text says what to use instead.
        """

    def check(self) -> list[str]:
        """List what this runner needs and the project lacks, for `manage.py check`."""
        return []

    @property
    def is_at_work(self) -> bool:
        """Whether its background work goes on, on any event loop."""
        return bool(self._background.all())

    @property
    def worker(self) -> Worker:
        """This event loop's worker."""
        return self._workers.get()
