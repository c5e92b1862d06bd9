"""The heartbeat: a thread that renews the leases of a worker's runs, and shows that it lives.

An agent that blocks the event loop does not lose its run, since the thread goes on.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from a2a_app import conf, database
from a2a_app.agents import registry
from a2a_app.store import runs, workers

logger = logging.getLogger(__name__)
T = TypeVar("T")

# The pause before leases are renewed again when the database was away.
RETRY_SECONDS = 1.0
# How soon a worker is known of, if its leases are not shorter. What ends before is not.
FIRST_SECONDS = 1.0


class Heartbeat(threading.Thread):
    """Renews the leases of all runs of a worker by one statement, three times in a lease.

    By another one it then shows that the worker lives, if that has signed on.
    """

    def __init__(
        self,
        worker: str,
        run_ids: Callable[[], list[UUID]],
        *,
        on_loss: Callable[[UUID], object],
    ) -> None:
        """Make the heartbeat of a worker, on its event loop; `start` begins it.

        Args:
            worker: The worker's name.
            run_ids: Returns its runs.
            on_loss: Called on the event loop with each run whose lease could not be renewed.
        """
        super().__init__(name="a2a-heartbeat", daemon=True)
        self._worker, self._run_ids = worker, run_ids
        self._takes_turns = self._is_known = False
        self._slots: int | None = None
        self._loop, self._on_loss = asyncio.get_running_loop(), on_loss
        self._ended = asyncio.Event()
        self._stopped = threading.Event()

    def sign_on(self, slots: int | None) -> None:
        """Have others know of the worker from now on, also while it has no turn.

        Args:
            slots: How many turns it can have at once, if that is fewer than MAX_RUNS.
        """
        self._slots = slots or self._slots
        self._takes_turns = True

    async def close(self) -> None:
        """Stop, end the leases of turns that are not over, and have nobody know of the worker."""
        await self._stop()
        if given_up := await database.run(runs.give_back, self._worker):
            logger.warning("%d turns are given up for another process.", given_up)
        if self._is_known:
            await database.run(workers.sign_off, self._worker)

    async def _stop(self) -> None:
        """End the thread soon, and wait for that a little."""
        self._stopped.set()
        # Not by `join`, which would need one more thread that waits for it. Where the process ends
        # already, there are no new ones.
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._ended.wait()

    def run(self) -> None:
        """Renew until stopped, and report the runs that are lost."""
        usual = conf.current().lease_time.total_seconds() / 3
        pause = min(usual, FIRST_SECONDS)
        while not self._stopped.wait(pause) and not self._loop.is_closed():
            # One renewal that fails loses no lease yet. The next one comes soon.
            pause = usual if self._beat() else min(usual, RETRY_SECONDS)
        database.close_connection()
        self._call_on_loop(self._ended.set)

    def _call_on_loop(self, function: Callable[..., object], *args: object) -> None:
        # On a loop that is closed there are no runs to stop, and nobody waits for the end.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    def _beat(self) -> bool:
        """Renew and give a sign of life; return False if the database could not be asked."""
        run_ids = self._run_ids()
        try:
            if run_ids:
                self._renew(run_ids)
            if self._takes_turns:
                self._is_known = True
                self._ask(partial(workers.sign, _sign_of(self._worker, self._slots)))
        except database.AwayError:  # which is logged
            return False
        except Exception:  # the thread must go on
            logger.warning(
                "Could not renew the leases of %d runs, or store that the worker lives.",
                len(run_ids),
                exc_info=True,
            )
            return False
        if not run_ids:
            database.close_connection()
        return True

    def _renew(self, run_ids: list[UUID]) -> None:
        renew = partial(runs.renew, self._worker, run_ids, lease=conf.current().lease_time)
        for run_id in self._ask(renew):
            self._call_on_loop(self._on_loss, run_id)

    def _ask(self, work: Callable[[], T]) -> T:
        return database.run_here(work, seconds=conf.current().lease_time.total_seconds() / 3)


def _sign_of(worker: str, slots: int | None) -> workers.Sign:
    declared = {slug: registry.get(slug).revision for slug in registry.slugs()}
    current = conf.current()
    return workers.Sign(
        name=worker,
        runner=current.runner,
        slots=min(slots or current.max_runs, current.max_runs),
        revisions={slug: revision for slug, revision in declared.items() if revision},
    )
