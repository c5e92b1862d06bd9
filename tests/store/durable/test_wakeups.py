"""Runs that are put away, and their wake-ups."""

import asyncio
import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from a2a_app import database, models
from a2a_app.database.values import from_now
from a2a_app.store import runs
from a2a_app.store.claims import Claim
from a2a_app.store.durable.wake import wake
from a2a_app.store.durable.wakeups import begin_again, put_away, read_agenda
from a2a_app.store.refusals import RunLostError
from a2a_app.store.task_head import RunKey
from tests.cuts import take_over
from tests.sleepers import SECONDS
from tests.tasks import SCOPE, begin_and_claim, claim_of, waiting

pytestmark = pytest.mark.usefixtures("runtime")


def put_away_for(claim: Claim, days: int = 3) -> bool:
    until = timezone.now() + timedelta(days=days)
    return put_away(claim.head.task_id, claim.run, until, lambda: False)


async def test_a_run_is_put_away_once_and_woken_once() -> None:
    claim = await database.run(begin_and_claim)
    assert not await database.run(put_away, claim.head.task_id, claim.run, None, lambda: True)
    assert await database.run(put_away_for, claim)
    # As after an answer that was lost.
    assert await database.run(put_away_for, claim)
    assert await database.run(models.Run.objects.count) == 2
    agenda = await database.run(read_agenda, [SCOPE.agent], 10)
    assert agenda.due == []
    assert agenda.seconds is not None and agenda.seconds > 2 * 24 * 3600
    woken = await database.run(wake, claim.head.task_id)
    assert woken is not None and not woken.worker
    enqueued: list[UUID] = []
    agenda = await database.run(read_agenda, [SCOPE.agent], 10)
    [due] = agenda.due
    found = await asyncio.gather(
        *(database.run(begin_again, [due], enqueued.append) for _ in range(4))
    )
    assert sorted(found) == [[], [], [], [due]]
    assert enqueued == [claim.head.task_id]
    assert await database.run(waiting, SCOPE.agent) == [claim.head.task_id]
    again = await database.run(claim_of, claim.head.task_id)
    assert again is not None and again.attempt == 2
    other = RunKey(uuid4(), 1)
    with pytest.raises(RunLostError):
        await database.run(put_away, claim.head.task_id, other, None, lambda: False)


if connection.vendor == "postgresql":  # SQLite has one writer, for whom all others wait

    async def test_a_run_whose_task_is_being_changed_is_left_out_and_woken_afterwards() -> None:
        claims = [await database.run(begin_and_claim) for _ in range(2)]
        for claim in claims:
            assert await database.run(put_away_for, claim)
            await database.run(wake, claim.head.task_id)
        changed, free = [claim.head.task_id for claim in claims]
        is_held, may_end = threading.Event(), threading.Event()

        def change() -> None:
            with database.atomic():
                models.Task.objects.filter(pk=changed).update(seq=F("seq"))
                is_held.set()
                assert may_end.wait(SECONDS)

        async def wake_due() -> list[UUID]:
            agenda = await database.run(read_agenda, [SCOPE.agent], 10)
            return [each.task_id for each in await database.run(begin_again, agenda.due)]

        changing = asyncio.create_task(database.run(change))
        try:
            assert await asyncio.to_thread(is_held.wait, SECONDS)
            assert await wake_due() == [free]
        finally:
            may_end.set()
        await changing
        assert await wake_due() == [changed]


async def test_attempts_that_were_lost_before_a_sleep_do_not_count_after_it() -> None:
    def lose_sleep_and_lose() -> list[int]:
        claim = begin_and_claim()
        claim = take_over(claim)
        claim = take_over(claim)
        assert put_away_for(claim)
        wake(claim.head.task_id)
        [due] = read_agenda([SCOPE.agent], 10).due
        assert begin_again([due])
        again = claim_of(claim.head.task_id, "another")
        assert again is not None
        models.Run.objects.filter(pk=again.run.id).update(lease_until=from_now(-timedelta(1)))
        return [run.losses for run in runs.lost(limit=10)]

    assert await database.run(lose_sleep_and_lose) == [1]
