"""The heartbeat: a thread that renews the leases of a worker's runs.

An agent that blocks the event loop does not lose its run, since the thread goes on.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from uuid import UUID

from a2a_app import conf, database
from a2a_app.store import runs

logger = logging.getLogger(__name__)

# The pause before leases are renewed again when the database was away.
RETRY_SECONDS = 1.0


class Heartbeat(threading.Thread):
    """Renews the leases of all runs of a worker by one statement, three times in a lease."""

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
        self._loop, self._on_loss = asyncio.get_running_loop(), on_loss
        self._ended = asyncio.Event()
        self._stopped = threading.Event()

    async def stop(self) -> None:
        """End it soon, and wait for that a little."""
        self._stopped.set()
        # Not by `join`, which would need one more thread that waits for it. Where the process ends
        # already, there are no new ones.
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._ended.wait()

    def run(self) -> None:
        """Renew until stopped, and report the runs that are lost."""
        usual = pause = conf.current().lease_time.total_seconds() / 3
        while not self._stopped.wait(pause) and not self._loop.is_closed():
            # One renewal that fails loses no lease yet. The next one comes soon.
            pause = usual if self._renew(self._run_ids()) else min(usual, RETRY_SECONDS)
        database.close_connection()
        self._call_on_loop(self._ended.set)

    def _call_on_loop(self, function: Callable[..., object], *args: object) -> None:
        # On a loop that is closed there are no runs to stop, and nobody waits for the end.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    def _renew(self, run_ids: list[UUID]) -> bool:
        """Renew the leases of runs; return False if the database could not be asked."""
        if not run_ids:
            database.close_connection()
            return True
        try:
            renew = partial(runs.renew, self._worker, run_ids, lease=conf.current().lease_time)
            lost = database.run_here(renew, seconds=conf.current().lease_time.total_seconds() / 3)
        except database.AwayError:  # which is logged
            return False
        except Exception:  # the thread must go on
            logger.warning("Could not renew the leases of %d runs.", len(run_ids), exc_info=True)
            return False
        for run_id in lost:
            self._call_on_loop(self._on_loss, run_id)
        return True
