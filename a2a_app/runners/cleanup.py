"""Clean-up: an agent hears of a canceled task on which its code is not at work."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from a2a_app.agents import Agent, TurnCaller
from a2a_app.concurrency.event_loop import Contained, shield
from a2a_app.protocol import Task, TaskNotFoundError, TaskState
from a2a_app.runners.tracebacks import shorten

logger = logging.getLogger(__name__)
logger.addFilter(shorten)

# How long an agent may clean up before whoever has it do so goes on.
CLEANUP_SECONDS = 1.0


async def clean_up(
    agent: Agent, task_id: UUID, caller: TurnCaller, reading: Coroutine[Any, Any, Task]
) -> None:
    """Call an agent's `cancel` for a task that was canceled, and wait a second for it at most.

    Code that is at work is cancelled instead, and must not hear of it twice.

    Args:
        agent: An agent that overrides `cancel`.
        task_id: The id of the task.
        caller: Who has canceled it, or whose turn has just returned.
        reading: Returns the task. If it is not canceled, or is deleted, nothing is called.
    """
    cleanup = asyncio.create_task(shield(_clean_up(agent, task_id, caller, reading)))
    await asyncio.wait([cleanup], timeout=CLEANUP_SECONDS)


async def _clean_up(
    agent: Agent, task_id: UUID, caller: TurnCaller, reading: Coroutine[Any, Any, Task]
) -> None:
    try:
        task = await reading
        if task.status.state is TaskState.CANCELED:
            with Contained(f"The agent {agent.slug!r}"):
                await agent.cancel(task, caller)
    except TaskNotFoundError:
        return
    except Exception:  # an agent may raise anything, and the task is canceled all the same
        logger.exception("The agent %r failed to clean up after task %s.", agent.slug, task_id)
