"""A runner of a project's own, as docs/runners.md has it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_django import Settings
from redis.asyncio import Redis

from a2a_app import runners
from a2a_app.agents import Turn
from a2a_app.protocol import TaskState
from tests.clients.operations import client_of
from tests.servers import redis_url
from tests.sites import named_blocks

SECONDS = 60


@pytest.fixture
async def redis(
    settings: Settings, runtime: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Redis]:
    """Have the page's runner, and yield a client of its Redis."""
    package = tmp_path / "mysite"
    package.mkdir()
    [runner] = named_blocks("docs/runners.md")["mysite/redis_runner.py"]
    (package / "redis_runner.py").write_text(runner)
    monkeypatch.syspath_prepend(tmp_path)
    settings.REDIS_URL = redis_url()
    settings.A2A = {
        **settings.A2A,
        "RUNNER": "mysite.redis_runner.RedisRunner",
        "LEASE_SECONDS": 1.5,
        "SWEEP_SECONDS": 0.3,
        "PUT_AWAY_SECONDS": 0,
    }
    async with Redis.from_url(settings.REDIS_URL) as client:
        yield client
    # Whoever makes a project of this name later in this process needs it to be free.
    for name in ("mysite.redis_runner", "mysite"):
        sys.modules.pop(name, None)


async def sleepy(turn: Turn) -> str:
    await turn.sleep(0.2)
    return f"attempt {turn.attempt}"


async def test_the_runner_of_the_page_answers_and_wakes_even_where_its_queue_has_lost_a_turn(
    redis: Redis, settings: Settings
) -> None:
    runner, stop = runners.current(), asyncio.Event()
    assert runner.check() == []
    async with asyncio.timeout(SECONDS):
        with client_of(lambda turn: turn.text) as client:
            lost = await client.send("lost", return_immediately=True)
            assert await redis.delete("turns") == 1
            serving = asyncio.create_task(runner.serve(stop))
            assert (await client.send("hello")).status.state is TaskState.COMPLETED
            events = [event async for event in client.subscribe(lost.id)]
            assert events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
        with client_of(sleepy, durable=True) as client:
            [said] = (await client.send()).artifacts[0].parts
            assert said.text == "attempt 2"
            stop.set()
            await serving
    del settings.REDIS_URL
    assert len(runner.check()) == 1
