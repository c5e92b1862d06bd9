"""PostgreSQL's primary is replaced under load, twice: nothing is lost, and nothing doubled (R6)."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.acceptance.records import message_tasks, records
from tests.clients.cluster import ClusterClient, Seen
from tests.conftest import Serve
from tests.replicas import Replicas
from tests.servers import own_postgresql
from tests.wire import state, text

SECONDS = 100
TASKS, AT_ONCE = 200, 25
STEPS = 6
SAID = json.dumps({"steps": STEPS, "delay": 0.12})
# Longer than a change of the primary takes: no turn is begun twice.
SETTINGS: dict[str, Any] = {"LEASE_SECONDS": 20, "SWEEP_SECONDS": 1, "POLL_SECONDS": 0.5}
AWAY = "The database does not answer"


@pytest.fixture
def replicas() -> Iterator[Replicas]:
    with own_postgresql() as (primary, _), Replicas(primary, standbys=2) as made:
        made.add_standby()
        yield made


class Load:
    """Sends tasks until it is told to end, AT_ONCE at a time, each under a key of its own."""

    def __init__(self, client: ClusterClient) -> None:
        self.streams: list[Seen] = []
        self.ends = False
        self._client = client
        self._begun = count()
        self._ended = asyncio.Condition()

    async def run(self) -> None:
        """Return when at least TASKS tasks, and all that were sent, have ended."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._one_after_the_other())

    async def reaches(self, tasks: int) -> None:
        """Wait until so many tasks have ended."""
        async with self._ended:
            await self._ended.wait_for(lambda: len(self.streams) >= tasks)

    async def _one_after_the_other(self) -> None:
        while (number := next(self._begun)) < TASKS or not self.ends:
            seen = await self._client.stream(SAID, f"key {number}")
            async with self._ended:
                self.streams.append(seen)
                self._ended.notify_all()


async def test_tasks_and_streams_outlast_a_demotion_and_a_crash_of_the_primary(
    serve: Serve, replicas: Replicas
) -> None:
    options = {"database_url": replicas.url, "layer": "postgresql", **SETTINGS}
    servers = [serve(**options) for _ in range(2)]
    urls = [server.url for server in servers]
    async with asyncio.timeout(SECONDS), ClusterClient(urls, "steps") as client:
        load = Load(client)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run())
            await load.reaches(TASKS // 4)
            await asyncio.to_thread(replicas.switch_over)
            client.recovered()
            await load.reaches(TASKS // 2)
            await asyncio.to_thread(replicas.add_standby)
            await asyncio.to_thread(replicas.fail_over)
            client.recovered()
            load.ends = True
    stored = records(replicas.url)
    assert len(stored) == len(load.streams) >= TASKS
    assert message_tasks(replicas.url) == client.sent
    for record in stored.values():
        record.check()
        record.check_steps()
        assert record.state == "COMPLETED"
        assert len(record.runs) == 1
    for seen in load.streams:
        assert state(seen[-1][1]) == "COMPLETED"
        assert [text(item) for _, item in seen if text(item)] == [f"1 {n}" for n in range(STEPS)]
    for server in servers:
        assert 1 <= server.output().count(AWAY) <= 6
        server.kill()  # before its database goes
