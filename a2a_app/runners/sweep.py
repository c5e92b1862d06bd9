"""The sweep: finds what nobody works on, whoever was to (R6, R7)."""

import asyncio
import logging

from a2a_app import conf
from a2a_app.agents import registry
from a2a_app.runners.reap import reap
from a2a_app.runners.worker import Worker
from a2a_app.store import database, runs

logger = logging.getLogger(__name__)


async def sweep_for_ever(worker: Worker) -> None:
    """Sweep every SWEEP_SECONDS, the first time at once; any number of processes may do so."""
    while True:
        try:
            await sweep(worker)
        except Exception:  # a database that is away now may be back at the next sweep
            logger.warning("Could not look for runs that nobody works on.", exc_info=True)
        await asyncio.sleep(conf.current().sweep_seconds)


async def sweep(worker: Worker) -> None:
    """Deal with every run whose worker is gone, then begin what nobody has begun."""
    await reap()
    if worker.free > 0:
        ready = await database.run(runs.waiting, agents=registry.slugs(), limit=worker.free)
        for task_id in ready:
            worker.start(task_id)
