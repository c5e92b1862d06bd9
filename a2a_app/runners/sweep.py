"""The sweep: finds what nobody works on, whoever was to (R6, R7)."""

import asyncio
import logging
from uuid import uuid4

from django.utils import timezone

from a2a_app import conf
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.protocol import Message, Part, Role, TaskState
from a2a_app.runners.worker import Worker, lease
from a2a_app.store import database, news, runs
from a2a_app.store.runs import OverdueRun
from a2a_app.store.updates import StatusUpdate

logger = logging.getLogger(__name__)

# Runs looked at in one sweep.
LIMIT = 200
# An agent this process does not know may be one that a newer process knows: leave it to that for
# so many leases, and only then take it for gone.
PATIENCE = 10


async def sweep_for_ever(worker: Worker) -> None:
    """Sweep every SWEEP_SECONDS, the first time at once; any number of processes may do so."""
    while True:
        try:
            await sweep(worker)
        except Exception:  # a database that is away now may be back at the next sweep
            logger.warning("Could not look for runs that nobody works on.", exc_info=True)
        await asyncio.sleep(conf.current().sweep_seconds)


async def sweep(worker: Worker) -> None:
    """Begin, begin again or end every run whose lease is over."""
    for run in await database.run(runs.overdue, limit=LIMIT):
        if _is_known(run):
            await _take_up(run, worker)
        elif run.since < timezone.now() - PATIENCE * lease():
            await _end(run, f"The agent {run.agent!r} is no longer there.")


async def _take_up(run: OverdueRun, worker: Worker) -> None:
    if not run.worker:
        worker.start(run.task_id)
    elif run.attempt >= registry.get(run.agent).attempts:
        await _end(run, "The process that worked on the task is gone.")
    elif await database.run(runs.retry, run):
        logger.warning("Run %s of task %s is lost; attempt %d begins.", run.id, run.task_id,
                       run.attempt + 1)  # fmt: skip
        worker.start(run.task_id)


async def _end(run: OverdueRun, reason: str) -> None:
    message = Message(
        message_id=str(uuid4()),
        context_id=run.context_id,
        task_id=str(run.task_id),
        role=Role.AGENT,
        parts=[Part(text=reason)],
    )
    flush = await database.run(runs.fail_lost, run, StatusUpdate(TaskState.FAILED, message))
    if flush is not None:
        logger.warning("Run %s is lost and task %s failed: %s", run.id, run.task_id, reason)
        await news.tell(flush)


def _is_known(run: OverdueRun) -> bool:
    try:
        registry.get(run.agent)
    except AgentNotFoundError:
        return False
    return True
