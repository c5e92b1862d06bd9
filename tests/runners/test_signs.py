"""Signs of life: which processes work on turns is known also while they have none."""

from datetime import timedelta

import pytest
from pytest_django import Settings

from a2a_app import database, figures, models, runners
from a2a_app.agents import Turn
from a2a_app.database.values import from_now
from a2a_app.figures.workers import read_workers
from a2a_app.runners.embedded import EmbeddedRunner
from a2a_app.runners.worker import Worker
from a2a_app.store import workers
from a2a_app.testing import agent_for_test
from tests.sleepers import until
from tests.tasks import begin_and_claim
from tests.threads import no_more_threads

GONE = timedelta(minutes=5)


class Remote(EmbeddedRunner):
    """A runner whose turns run nowhere without workers."""

    needs_workers = True


def sign(name: str, *, ago: timedelta = timedelta(0)) -> None:
    workers.sign(workers.Sign(name, "embedded", 8, {"load": "2"}))
    models.Worker.objects.filter(name=name).update(seen_at=from_now(-ago))


@pytest.mark.slow
@pytest.mark.usefixtures("runtime")
async def test_a_process_without_turns_is_known_as_long_as_it_lives(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 1, "MAX_RUNS": 7}

    async def agent(turn: Turn) -> None:
        """Do nothing."""

    with agent_for_test(agent, slug="declared", revision="3"):
        runner = runners.current()
        await runner.begin()
        own = models.Worker.objects.filter(name=runner.worker.name)
        found = await until(own.first)
        assert (found.runner, found.slots, found.revisions) == ("embedded", 7, {"declared": "3"})
        await until(own.filter(seen_at__gt=found.seen_at).exists)
        [worker] = await database.read(read_workers)
        assert (worker.lives, worker.turns, worker.begun_at) == (True, 0, found.begun_at)
        await runner.close()
    assert not await database.read(own.exists)


@pytest.mark.django_db
def test_workers_that_live_stand_before_those_that_are_gone() -> None:
    sign("b")
    sign("a", ago=GONE)
    begin_and_claim("c")
    begin_and_claim("b")
    sign("b")
    found = figures.read()
    seen = [(each.name, each.lives, each.turns, each.slots) for each in found.workers]
    assert seen == [("b", True, 1, 8), ("c", True, 1, None), ("a", False, 0, 8)]
    assert [each.name for each in found.living] == ["b", "c"]


@pytest.mark.usefixtures("runtime")
async def test_a_sweep_forgets_who_has_long_given_no_sign_of_life() -> None:
    await database.run(lambda: sign("killed", ago=GONE))
    await database.run(lambda: sign("long gone", ago=2 * workers.KNOWN))
    await runners.current().sweep()
    names = models.Worker.objects.values_list("name", flat=True)
    assert await database.read(lambda: list(names)) == ["killed"]


@pytest.mark.django_db
def test_that_no_worker_lives_is_critical_where_turns_need_one(settings: Settings) -> None:
    assert figures.concerns_of(figures.read()) == [], "servers do the work themselves"
    settings.A2A = {**settings.A2A, "RUNNER": f"{__name__}.Remote"}
    sign("killed", ago=GONE)
    [concern] = figures.concerns_of(figures.read())
    assert concern == (figures.Level.CRITICAL, "No worker lives: nobody works on turns.")
    sign("alive")
    assert figures.concerns_of(figures.read()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("runtime")
async def test_a_heartbeat_that_could_not_be_started_is_started_with_the_next_turn(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 0.3}
    worker = Worker()
    with no_more_threads(), pytest.raises(RuntimeError, match="thread"):
        worker.sign_on()
    worker.sign_on()
    await until(models.Worker.objects.filter(name=worker.name).exists)
    await worker.close()
