"""How work is looked for, whatever it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from django.db import OperationalError

from a2a_app import broadcast
from a2a_app.database.away import AwayError, Cause
from a2a_app.sweeper import Sweeper
from tests.conftest import ChangeSettings

SECONDS = 20
GROUP = "a2a.tests"


class Looker(Sweeper):
    """Looks for nothing, and counts how often."""

    group = GROUP

    def __init__(self, finds: Callable[["Looker"], float | None] = lambda _: None) -> None:
        super().__init__()
        self._finds = finds
        self.reports = 0
        self.looks = 0
        self._looked = asyncio.Condition()

    async def look(self) -> float | None:
        async with self._looked:
            self.looks += 1
            self._looked.notify_all()
        return self._finds(self)

    def report(self) -> None:
        self.reports += 1

    async def has_looked(self, times: int) -> None:
        """Wait until it has looked so often at least."""
        async with asyncio.timeout(SECONDS), self._looked:
            await self._looked.wait_for(lambda: self.looks >= times)


@pytest.fixture(autouse=True)
def _seldom(runtime: None, a2a: ChangeSettings) -> None:
    a2a(SWEEP_SECONDS=3600)


@asynccontextmanager
async def at_work(looker: Looker) -> AsyncIterator[Looker]:
    work = asyncio.create_task(looker.sweep_for_ever())
    try:
        await looker.has_looked(1)
        yield looker
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def test_it_looks_at_once_and_again_for_each_message() -> None:
    async with at_work(Looker()) as looker:
        for times in (2, 3):
            await broadcast.publish(GROUP, {})
            await looker.has_looked(times)


async def test_a_message_during_a_look_is_followed_by_another_look() -> None:
    def ring_once(looker: Looker) -> None:
        if looker.looks == 1:
            looker.ring()

    async with at_work(Looker(ring_once)) as looker:
        await looker.has_looked(2)


async def test_it_looks_again_when_more_is_due() -> None:
    async with at_work(Looker(lambda looker: 0.01 if looker.looks < 3 else None)) as looker:
        await looker.has_looked(3)


async def test_it_looks_every_sweep_seconds_at_the_latest(a2a: ChangeSettings) -> None:
    a2a(SWEEP_SECONDS=0.01)
    async with at_work(Looker(lambda _: 3600.0)) as looker:
        await looker.has_looked(3)


@pytest.mark.parametrize(
    ("error", "reports"),
    [(ValueError("no"), 1), (AwayError(OperationalError("no"), Cause.BROKEN), 0)],
)
async def test_a_look_that_fails_is_followed_by_others(error: Exception, reports: int) -> None:
    def fail_once(looker: Looker) -> None:
        if looker.looks == 1:
            raise error

    async with at_work(Looker(fail_once)) as looker:
        await broadcast.publish(GROUP, {})
        await looker.has_looked(2)
        assert looker.reports == reports


async def test_one_that_ends_hears_nothing_any_more() -> None:
    async with at_work(Looker()) as looker:
        pass
    async with at_work(Looker()) as another:
        await broadcast.publish(GROUP, {})
        await another.has_looked(2)
    assert looker.looks == 1
