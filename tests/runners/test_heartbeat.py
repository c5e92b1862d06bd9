"""The heartbeat: the database may know of an end before the process that wrote it does (R7)."""

import asyncio
import time
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.agents import Turn
from tests.clients.operations import client_of

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20


class Hold:
    """Lets a commit on a connection return only after leases were renewed twice.

    They are the leases of another task's run. So the heartbeat has looked at all runs since.
    """

    def __init__(self) -> None:
        self.held = False
        self.other: UUID | None = None

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "UPDATE" in sql and not self.held:
            self.held = True
            transaction.on_commit(self._wait)
        return result

    def _wait(self) -> None:
        until, seen = time.monotonic() + SECONDS, {self._lease()}
        while len(seen) < 3:
            assert time.monotonic() < until
            seen.add(self._lease())

    def _lease(self) -> Any:
        return models.Run.objects.get(task=self.other).lease_until


@pytest.mark.slow
async def test_an_agent_tidies_up_though_its_end_is_seen_before_it_is_known(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 1, "DATABASE_THREADS": 1}
    caplog.set_level("INFO", "a2a_app")
    tidied, hold = asyncio.Event(), Hold()

    async def agent(turn: Turn) -> None:
        if turn.text == "stay":
            await asyncio.Event().wait()
        await database.run(lambda: database.connection().execute_wrappers.append(hold))
        await turn.complete("Done.")
        tidied.set()

    with client_of(agent) as client:
        other = await client.send("stay", return_immediately=True)
        hold.other = UUID(other.id)
        await client.send()
        await asyncio.wait_for(tidied.wait(), SECONDS)
        assert hold.held
        await client.cancel(other.id)
    assert f"Run {await _run_of_the_ended()} is stopped" not in caplog.text


async def _run_of_the_ended() -> Any:
    return (await models.Run.objects.aget(outcome="completed")).pk
