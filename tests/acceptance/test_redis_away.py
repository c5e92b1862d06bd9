"""Redis goes away under load and comes back: the log has all, and streams hear again (R4)."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.records import records
from tests.clients.cluster import ClusterClient
from tests.cluster import Cluster
from tests.servers import Layer, Process, new_redis
from tests.wire import state, text

SECONDS = 90
# So long between polls that what is seen after the outage has come by Redis.
LONG: dict[str, Any] = {"POLL_SECONDS": 600, "LEASE_SECONDS": 600, "SWEEP_SECONDS": 600}
LAYERS: list[Layer] = ["redis", "redis-core"]
TASKS = 15
AWAY, BACK = "The channel layer does not answer", "The channel layer answers again"


@pytest.fixture
def redis() -> Iterator[Process]:
    process = new_redis()
    process.start()
    yield process
    process.kill()


@pytest.mark.parametrize("layer", LAYERS)
async def test_streams_from_before_and_during_an_outage_of_redis_are_whole_and_hear_after_it(
    database_url: str, redis: Process, layer: Layer, tmp_path: Path
) -> None:
    # Of the outage nobody hears. What comes after it shows that something is missing.
    is_away, is_back = tmp_path / "is away", tmp_path / "is back"
    chunks = ["before ", {"file": str(is_away)}, "away ", {"file": str(is_back)}, "after"]
    said = json.dumps([{"chunks": chunks}])
    url = f"redis://127.0.0.1:{redis.port}/0"
    with Cluster(database_url=database_url, redis_url=url, layer=layer, **LONG) as site:
        servers, _ = site.start(servers=2, workers=2)
        urls = [server.url for server in servers]
        async with asyncio.timeout(SECONDS), ClusterClient(urls, "speaker") as client:
            streams = await _begin(client, said)
            redis.kill()
            streams += await _begin(client, said)
            is_away.touch()
            await asyncio.gather(*[process.says(AWAY) for process in site.processes])
            redis.start()
            await asyncio.gather(*[process.says(BACK) for process in site.processes])
            is_back.touch()
            for seen in await asyncio.gather(*streams):
                assert state(seen[-1][1]) == "COMPLETED"
                heard = [text(item) for _, item in seen if text(item)]
                assert heard[:3] == ["before ", "away ", "after"]
        assert client.resumed == 0
        for process in site.processes:
            assert (process.output().count(AWAY), process.output().count(BACK)) == (1, 1)
    for record in records(database_url).values():
        record.check()


async def _begin(client: ClusterClient, said: str) -> list["asyncio.Task[Any]"]:
    """Begin tasks, and stream each."""
    begun = [await client.send(said) for _ in range(TASKS)]
    return [asyncio.create_task(client.follow(task_id)) for task_id in begun]
