"""The sweep: finds what nobody works on, whoever was to (R6, R7)."""

import asyncio
import logging
from uuid import uuid4

from a2a_app import conf
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.protocol import Message, Part, Role, TaskState
from a2a_app.runners.worker import Worker
from a2a_app.store import database, news, runs
from a2a_app.store.runs import LostRun
from a2a_app.store.updates import StatusUpdate

logger = logging.getLogger(__name__)

# Runs looked at in one sweep.
LIMIT = 200


async def sweep_for_ever(worker: Worker) -> None:
    """Sweep every SWEEP_SECONDS, the first time at once; any number of processes may do so."""
    while True:
        try:
            await sweep(worker)
        except Exception:  # a database that is away now may be back at the next sweep
            logger.warning("Could not look for runs that nobody works on.", exc_info=True)
        await asyncio.sleep(conf.current().sweep_seconds)


async def sweep(worker: Worker) -> None:
    """Take up every run whose worker is gone, and every turn that nobody has begun."""
    for run in await database.run(runs.lost, limit=LIMIT):
        await _take_up(run, worker)
    if worker.free > 0:
        # An agent that this process does not have may be one that a newer process has.
        ready = await database.run(runs.waiting, agents=registry.slugs(), limit=worker.free)
        for task_id in ready:
            worker.start(task_id)


async def _take_up(run: LostRun, worker: Worker) -> None:
    if run.attempt >= _attempts(run.agent):
        await _end(run, "The process that worked on the task is gone.")
    elif await database.run(runs.retry, run):
        logger.warning(
            "Run %s of task %s is lost; attempt %d begins.", run.id, run.task_id, run.attempt + 1
        )
        worker.start(run.task_id)


def _attempts(slug: str) -> int:
    try:
        return registry.get(slug).attempts
    except AgentNotFoundError:
        return 1  # nobody here can try again


async def _end(run: LostRun, reason: str) -> None:
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
