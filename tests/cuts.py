"""Attempts of the tests that are cut: their process is gone at one moment, and another goes on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from pydantic_core import from_json

from a2a_app import database, models
from a2a_app.database.values import from_now
from a2a_app.runners.embedded import EmbeddedRunner
from a2a_app.runners.execute import Execution
from a2a_app.store import runs
from a2a_app.store.claims import Claim
from a2a_app.store.durable.external_events import send_event
from a2a_app.store.durable.steps import Kind
from a2a_app.store.durable.wakeups import begin_again, read_agenda
from a2a_app.testing import agent_for_test
from tests.sleepers import asleep, let_time_pass, until
from tests.tasks import LEASE, SCOPE, begin_and_claim, claim_of

SECONDS = 20


class Cut:
    """The moment at which a process is gone. The agent's code calls it wherever that may be."""

    def __init__(self, at: int | None = None) -> None:
        """Cut the attempt that comes here for the time of that number, from 0; None: never."""
        self._left = -1 if at is None else at
        self.reached = asyncio.Event()

    async def __call__(self) -> None:
        """Wait for ever if this is the moment."""
        if self._left == 0:
            self.reached.set()
            await asyncio.Event().wait()
        self._left -= 1

    def come_by(self) -> None:
        """Have the process be gone if this is the moment, for a caller that is not part of it."""
        if self._left == 0:
            self.reached.set()
        self._left -= 1


class PlainRunner(EmbeddedRunner):
    """Starts what turns ask of other agents, and leaves all else that runners do to the test."""

    async def begin(self) -> None:
        """Begin nothing that might take up the test's own turn."""


async def attempts(agent: Callable[..., Any], *cuts: Cut, **declared: Any) -> UUID:
    """Work on a new task until an attempt is neither cut nor put away, and return its id.

    What the turn waits for is there as soon as it is put away.
    """
    with agent_for_test(agent, slug=SCOPE.agent, **declared):
        claim = await database.run(begin_and_claim)
        for cut in cuts:
            await _attempt(claim, cut)
            if await database.run(asleep):
                await until(partial(_is_alone, claim.head.task_id))
            following = await database.run(_following, claim, cut)
            if following is None:
                break
            claim = following
    return claim.head.task_id


def _is_alone(task_id: UUID) -> bool:
    """Tell whether nothing else is under way, such as what the task's turn has asked."""
    return not models.Run.objects.exclude(task=task_id).filter(ended_at=None).exists()


@transaction.atomic
def _following(claim: Claim, cut: Cut) -> Claim | None:
    """Claim the attempt after one that was cut or put away; return None if it was neither."""
    # What the attempt that was cut has still in a thread comes before this, or is too late.
    models.Task.objects.select_for_update().get(pk=claim.head.task_id)
    if asleep():
        return _go_on(claim.head.task_id)
    is_lost = cut.reached.is_set() and models.Run.objects.filter(pk=claim.run.id, ended_at=None)
    return take_over(claim) if is_lost else None


async def _attempt(claim: Claim, cut: Cut) -> None:
    performing = asyncio.create_task(Execution(claim).perform())
    reached = asyncio.create_task(cut.reached.wait())
    async with asyncio.timeout(SECONDS):
        await asyncio.wait([performing, reached], return_when=asyncio.FIRST_COMPLETED)
        # What the agent has said and is not committed is lost with the process.
        reached.cancel()
        performing.cancel()
        with suppress(asyncio.CancelledError):
            await performing


def _go_on(task_id: UUID) -> Claim:
    """Let all happen that a turn waits for, and claim its next attempt."""
    events = models.ExternalEvent.objects.filter(task=task_id)
    for step in models.Step.objects.filter(task=task_id, kind=Kind.EVENT, ended_at=None):
        send_event(task_id, step.name, events.count(), "")
    let_time_pass()
    [due] = read_agenda([SCOPE.agent], 10).due
    assert begin_again([due])
    following = claim_of(task_id, "another")
    assert following is not None
    return following


def take_over(claim: Claim) -> Claim:
    """Claim the next attempt at a turn whose process is gone."""
    late = timedelta(seconds=-1)
    models.Run.objects.filter(pk=claim.run.id).update(lease_until=from_now(-LEASE + late))
    [lost] = [run for run in runs.lost(limit=10) if run.id == claim.run.id]
    assert runs.retry(lost)
    following = claim_of(claim.head.task_id, "another")
    assert following is not None
    return following


def said_in(task_id: UUID) -> list[Any]:
    """Return what a task's log says, without ids and times."""
    bodies = (
        models.Event.objects.filter(task=task_id).order_by("seq").values_list("body", flat=True)
    )
    return [_said(from_json(body)) for body in bodies]


def _said(event: dict[str, Any]) -> Any:
    if "artifactUpdate" in event:
        return {**event["artifactUpdate"], "taskId": "", "contextId": ""}
    status = event.get("statusUpdate", event.get("task", {}))["status"]
    return status["state"], status.get("message", {}).get("parts")
