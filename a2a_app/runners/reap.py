"""Reaping: what becomes of runs whose process is gone (R6, R7)."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from django.utils import timezone

from a2a_app import database
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.agents.content import agent_message
from a2a_app.protocol import TaskState
from a2a_app.runners.worker import lease
from a2a_app.store import runs
from a2a_app.store.notify import notify
from a2a_app.store.runs import LostRun
from a2a_app.store.updates import StatusUpdate

logger = logging.getLogger(__name__)

# Runs looked at in one go.
LIMIT = 200
# An agent that this process does not have may be one that a newer process has: for so many leases
# its lost runs are left to that, and only then taken for orphans.
PATIENCE = 10


class Fate(StrEnum):
    """What is done with a lost run."""

    RETRY = "begun again"
    FAIL = "failed"
    LEAVE = "left to others"


def fate_of(run: LostRun) -> Fate:
    """Tell what is due to a lost run, by what its agent declares."""
    try:
        attempts = registry.get(run.agent).attempts
    except AgentNotFoundError:
        orphaned = run.since < timezone.now() - PATIENCE * lease()
        return Fate.FAIL if orphaned else Fate.LEAVE
    return Fate.RETRY if run.attempt < attempts else Fate.FAIL


@dataclass(frozen=True, slots=True)
class Reaped:
    """What this process has done with lost runs."""

    met: "Counter[Fate]" = field(default_factory=Counter)
    """How many runs met which fate."""
    begun_again: list[UUID] = field(default_factory=list)
    """The tasks with a turn to begin again."""


async def reap(enqueue: Callable[[UUID], None]) -> Reaped:
    """Begin again or fail every run whose worker is gone; any number of processes may do so.

    Args:
        enqueue: The runner's. Called with each task whose turn is to be begun again, in the
            transaction that decides so.
    """
    reaped = Reaped()
    for run in await database.run(runs.lost, limit=LIMIT):
        fate = fate_of(run)
        if await _deal(run, fate, enqueue):
            reaped.met[fate] += 1
            if fate is Fate.RETRY:
                reaped.begun_again.append(run.task_id)
    return reaped


async def _deal(run: LostRun, fate: Fate, enqueue: Callable[[UUID], None]) -> bool:
    """Do with a run what is due; False where another process was quicker."""
    match fate:
        case Fate.RETRY:
            return await _retry(run, enqueue)
        case Fate.FAIL:
            return await _fail(run)
        case Fate.LEAVE:
            return True


async def _retry(run: LostRun, enqueue: Callable[[UUID], None]) -> bool:
    if not await database.run(runs.retry, run, enqueue):
        return False
    logger.warning(
        "Run %s of task %s is lost; attempt %d begins.", run.id, run.task_id, run.attempt + 1
    )
    return True


async def _fail(run: LostRun) -> bool:
    message = agent_message(
        "The process that worked on the task is gone.",
        context_id=run.context_id,
        task_id=run.task_id,
    )
    appended = await database.run(runs.fail_lost, run, StatusUpdate(TaskState.FAILED, message))
    if appended is None:
        return False
    logger.warning("Run %s is lost, and task %s has failed.", run.id, run.task_id)
    await notify(appended)
    return True
