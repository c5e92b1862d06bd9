"""PostgreSQL goes away under load and comes back: what was under way waits for it, and goes on."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.acceptance.records import message_tasks, records
from tests.clients.cluster import ClusterClient
from tests.cluster import Cluster
from tests.servers import Layer, own_postgresql
from tests.wire import state

SECONDS = 100
# Longer than PostgreSQL is away.
SETTINGS: dict[str, Any] = {"LEASE_SECONDS": 15, "SWEEP_SECONDS": 1, "POLL_SECONDS": 0.5}
STEPS = json.dumps({"steps": 60, "delay": 0.1})
TASKS = 10
AWAY, BACK = "The database does not answer", "The database answers again"


@pytest.fixture
def postgresql() -> Iterator[tuple[Any, str]]:
    with own_postgresql() as server_and_url:
        yield server_and_url


@pytest.mark.parametrize(("how", "layer"), [("restart", "redis"), ("crash", "postgresql")])
async def test_turns_and_streams_wait_for_postgresql_and_go_on_when_it_is_back(
    postgresql: tuple[Any, str], how: str, layer: Layer
) -> None:
    server, url = postgresql
    with Cluster(database_url=url, layer=layer, **SETTINGS) as site:
        servers, workers = site.start(servers=2, workers=2)
        urls = [each.url for each in servers]
        async with (
            asyncio.timeout(SECONDS),
            ClusterClient(urls, "steps-for-ever") as client,
        ):
            before = await asyncio.gather(*[client.send(STEPS) for _ in range(TASKS)])
            streams = [asyncio.create_task(client.follow(task_id)) for task_id in before]
            sending = [asyncio.create_task(client.send(STEPS)) for _ in range(TASKS)]
            await asyncio.to_thread(_interrupt, server, url, how)
            for process in workers:
                await process.says(AWAY)
                await process.says(BACK)
            client.recovered()
            after = await asyncio.gather(*sending)
            streams += [asyncio.create_task(client.follow(task_id)) for task_id in after]
            for seen in await asyncio.gather(*streams):
                assert state(seen[-1][1]) == "COMPLETED"
            unanswered = set(records(url)) - {*before, *after}
            await asyncio.gather(*[client.follow(task_id) for task_id in unanswered])
        for record in records(url).values():
            record.check()
            record.check_steps()
            assert record.state == "COMPLETED"
        stored = message_tasks(url)
        assert {key: task for key, task in client.sent.items() if task}.items() <= stored.items()
        for process in site.processes:
            assert process.output().count(AWAY) <= 3, "a flood"


def _interrupt(server: Any, url: str, how: str) -> None:
    """Stop PostgreSQL and start it again, or have it restart itself after one of its own died."""
    if how == "restart":
        server.stop()
        server.ensure_postgres_running()
        return
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend' LIMIT 1"
        ).fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGKILL)
