"""Reaping: runs whose process is gone are retried or failed (R6, R7)."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from django.utils import timezone

from a2a_app import conf, database, logs
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.agents.content import agent_message
from a2a_app.protocol import TaskState
from a2a_app.store import runs
from a2a_app.store.durable.approvals import overdue
from a2a_app.store.notify import notify
from a2a_app.store.refusals import DecidedError, Refused
from a2a_app.store.runs import LostRun
from a2a_app.store.token_usage import usage_metadata
from a2a_app.store.updates import Decided, StatusUpdate
from a2a_app.store.writes.writer import write

logger = logging.getLogger(__name__)

# How many lost runs are read at once.
LIMIT = 200
# A newer process may have an agent that this one lacks. For so many leases, lost runs of such an
# agent are left to newer processes. After that they fail.
ORPHANED_AFTER_LEASES = 10
# The longest pause before a turn that is lost again and again begins once more.
LONGEST_PAUSE_SECONDS = 300.0


class Decision(StrEnum):
    """The ways to deal with a lost run."""

    RETRY = "begun again"
    FAIL = "failed"
    LEAVE = "left to others"


def decide(run: LostRun) -> Decision:
    """Decide how to deal with a lost run, by the `attempts` that its agent declares."""
    try:
        attempts = registry.get(run.agent).attempts
    except AgentNotFoundError:
        orphaned = run.since < timezone.now() - ORPHANED_AFTER_LEASES * conf.current().lease_time
        return Decision.FAIL if orphaned else Decision.LEAVE
    return Decision.RETRY if run.losses < attempts else Decision.FAIL


@dataclass(frozen=True, slots=True)
class Reaped:
    """The lost runs that this process has dealt with."""

    counts: "Counter[Decision]" = field(default_factory=Counter)
    """How many runs were dealt with in which way."""
    retried: list[UUID] = field(default_factory=list)
    """The tasks whose turn is to begin again at once."""


async def reap(lost: Iterable[LostRun], enqueue: Callable[[UUID], None]) -> Reaped:
    """Retry or fail runs whose worker is gone. Any number of processes may do so.

    Args:
        lost: The runs, as `runs.lost` returns them.
        enqueue: The method of the runner. It is called with each task whose turn is retried, in the
            transaction that stores the new run.
    """
    reaped = Reaped()
    outside = logs.subject.get()
    for run in lost:
        logs.subject.set(logs.Subject(str(run.task_id), run.context_id, run.agent))
        decision = decide(run)
        try:
            is_done = await _carry_out(decision, run, enqueue)
        except database.AwayError:
            raise
        except Exception:  # whatever is wrong with its rows, the others must be begun again
            logger.exception("Run %s is lost, and could not be dealt with.", run.id)
            continue
        if is_done:
            reaped.counts[decision] += 1
            if decision is Decision.RETRY and not pause_after(run):
                reaped.retried.append(run.task_id)
    logs.subject.set(outside)
    return reaped


async def _carry_out(decision: Decision, run: LostRun, enqueue: Callable[[UUID], None]) -> bool:
    """Deal with a run as decided; return False if another process was quicker."""
    match decision:
        case Decision.RETRY:
            return await _retry(run, enqueue)
        case Decision.FAIL:
            return await _fail(run)
        case Decision.LEAVE:
            return True


def pause_after(run: LostRun) -> timedelta:
    """Return how long a lost run's turn is left alone before it begins again.

    The first time it is not, since a deploy or a crash of something else is likely. A turn that is
    lost again may be what ends its processes.
    """
    if run.losses == 1:
        return timedelta(0)
    seconds = conf.current().sweep_seconds * 2 ** (run.losses - 2)
    return timedelta(seconds=min(LONGEST_PAUSE_SECONDS, seconds))


async def _retry(run: LostRun, enqueue: Callable[[UUID], None]) -> bool:
    pause = pause_after(run)
    if not await database.run(runs.retry, run, enqueue, pause=pause):
        return False
    logger.warning(
        "Run %s of task %s is lost; attempt %d begins in %.1f s.",
        run.id, run.task_id, run.attempt + 1, pause.total_seconds(),
    )  # fmt: skip  # the values in one line
    return True


async def expire(enqueue: Callable[[UUID], None]) -> list[UUID]:
    """End the questions that were not decided in time. Any number of processes may do so.

    Args:
        enqueue: As for `reap`.

    Returns:
        The tasks whose turn is to go on now.
    """
    expired = []
    for head, resolution in await database.read(overdue, LIMIT):
        # Somebody may decide at this moment, or end the task.
        with suppress(DecidedError, Refused):
            await write(head, Decided(resolution), enqueue=enqueue)
            expired.append(head.task_id)
    return expired


def _shows_usage(run: LostRun) -> bool:
    try:
        return registry.get(run.agent).shows_usage
    except AgentNotFoundError:
        return False


async def _fail(run: LostRun) -> bool:
    message = agent_message(
        "The process that worked on the task is gone.",
        context_id=run.context_id,
        task_id=run.task_id,
    )
    used = await database.read(usage_metadata, run.task_id) if _shows_usage(run) else {}
    failed = StatusUpdate(TaskState.FAILED, message, metadata=used)
    appended = await database.run(runs.fail_lost, run, failed)
    if appended is None:
        return False
    logger.warning("Run %s is lost, and task %s has failed.", run.id, run.task_id)
    await notify(appended)
    return True
