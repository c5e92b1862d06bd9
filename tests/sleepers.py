"""Turns of the tests that are put away, and how these tests wait for them and wake them."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from a2a_app import database, models, runners
from a2a_app.protocol import Task
from a2a_app.protocol.states import TERMINAL_STATES
from a2a_app.store.notify import ring
from tests.clients.operations import OperationsClient

SECONDS = 20


def asleep() -> list[models.Run]:
    return list(models.Run.objects.filter(task__run=F("pk"), ended_at=None, worker=""))


def are_asleep(number: int) -> bool:
    return len(asleep()) == number


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until the database has something, and return it."""
    async with asyncio.timeout(SECONDS):
        while not (found := await database.run(condition)):
            pass
        return found


async def is_asleep() -> models.Run:
    """Wait until the one turn that there is has been put away, and return the run that goes on."""
    run: models.Run
    [run] = await until(asleep)
    return run


def let_time_pass() -> None:
    """Have all sleeps be over now."""
    models.Step.objects.exclude(until=None).update(until=Now())
    models.Run.objects.filter(ended_at=None).update(wakes_at=Now())


async def wake_up() -> None:
    """Wait until the one turn that there is has been put away, and wake it as time does."""
    await is_asleep()
    await database.run(let_time_pass)
    await runners.current().begin()
    await ring(None)


async def ended(client: OperationsClient, task: Task) -> Task:
    """Wait until a task has ended, and return it."""
    over = models.Task.objects.filter(pk=task.id, state__in=TERMINAL_STATES)
    await until(over.exists)
    return await client.get(task.id)
