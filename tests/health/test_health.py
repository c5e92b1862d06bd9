"""Health: what a process knows of the database, the channel layer and the workers."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from channels.layers import channel_layers, get_channel_layer
from django.utils import timezone
from pytest_django import Settings

from a2a_app import broadcast, database, health, models, runners
from a2a_app.store.waiting import are_neglected
from tests.channel_layers import Wavering
from tests.outages import away, logged, lose_patience
from tests.tasks import begin, claim_of

SECONDS = 20


@pytest.fixture
def layer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wavering]:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Wavering"}}
    monkeypatch.setattr(broadcast, "RETRY_SECONDS", 0.01)
    made = get_channel_layer()
    assert isinstance(made, Wavering)
    yield made
    channel_layers.backends.clear()


def write_nothing() -> None:
    models.Task.objects.filter(seq=0).update(seq=0)


@pytest.mark.usefixtures("runtime", "reconnecting")
async def test_a_database_that_is_away_is_known_until_it_answers() -> None:
    await database.run(lose_patience)
    assert health.current().silent(0) == []
    with away():
        with pytest.raises(database.AwayError):
            await database.run(write_nothing)
        first, second = health.current(), health.current()
        assert second.database > first.database > 0
        assert (second.silent(0), second.silent(SECONDS)) == (["database"], [])
        # From another thread too, where nothing else may be asked.
        assert (await asyncio.to_thread(health.current)).database > second.database
    await database.run(write_nothing)
    assert health.current().silent(0) == []


async def test_a_channel_layer_that_is_away_is_known_until_it_answers(layer: Wavering) -> None:
    await broadcast.publish("some", {})
    assert health.current().channel_layer == 0
    layer.go_away("fails")
    await broadcast.publish("some", {})
    assert health.current().silent(0) == ["channel_layer"]
    with logged("a2a_app.broadcast") as told:
        layer.come_back()
        await asyncio.wait_for(told.wait(), SECONDS)
    assert health.current().silent(0) == []


@pytest.mark.usefixtures("runtime")
async def test_workers_that_take_no_turns_are_known_until_one_does(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "RUNNER": "tasks"}
    # Nothing serves this backend.
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    runner = runners.current()
    task_id = (await database.run(begin)).head.task_id
    await runner.sweep()
    assert health.current().workers == 0, "it has not waited for long"
    long_ago = timezone.now() - timedelta(hours=1)
    await database.run(lambda: models.Run.objects.update(created_at=long_ago))
    await runner.sweep()
    first = health.current().workers
    await runner.sweep()
    assert health.current().workers > first > 0
    await database.run(claim_of, task_id)
    await runner.sweep()
    assert health.current().workers == 0


@pytest.mark.usefixtures("runtime")
async def test_workers_that_are_full_are_at_work(settings: Settings) -> None:
    settings.A2A = {**settings.A2A, "RUNNER": "tasks"}
    busy, waiting = await database.run(begin), await database.run(begin)
    await database.run(claim_of, busy.head.task_id)
    long_ago = timezone.now() - timedelta(hours=1)
    await database.run(lambda: models.Run.objects.update(created_at=long_ago))
    await runners.current().sweep()
    assert await database.run(lambda: models.Run.objects.filter(worker="").count()) == 1
    assert health.current().workers == 0
    assert await database.run(claim_of, waiting.head.task_id) is not None


@pytest.mark.usefixtures("runtime")
async def test_a_turn_of_an_agent_that_this_process_lacks_says_nothing_of_workers() -> None:
    await database.run(begin)
    long_ago = timezone.now() - timedelta(hours=1)
    await database.run(lambda: models.Run.objects.update(created_at=long_ago))
    patience = timedelta(seconds=1)
    assert await database.run(are_neglected, agents=["load"], patience=patience)
    assert not await database.run(are_neglected, agents=["other"], patience=patience)
