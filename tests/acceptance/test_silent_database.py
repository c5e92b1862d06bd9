"""Connections to PostgreSQL that stay open and pass nothing, as after a failover."""

import asyncio
import signal
from typing import Any

import pytest

from tests.acceptance.records import records
from tests.clients.cluster import ClusterClient
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster
from tests.conftest import Serve
from tests.proxy import Proxy
from tests.servers import fresh_database
from tests.wire import load_message, state

SECONDS = 60
SETTINGS: dict[str, Any] = {"DATABASE_SECONDS": 1, "LEASE_SECONDS": 9, "SWEEP_SECONDS": 1}
AWAY, BACK = "The database does not answer", "The database answers again"


async def test_connections_that_fall_silent_are_replaced_and_cost_no_task(serve: Serve) -> None:
    with fresh_database("postgresql") as url, Proxy(url) as proxy:
        server = serve(database_url=proxy.url, **SETTINGS)
        async with asyncio.timeout(SECONDS), ClusterClient([server.url], "load-retry") as client:
            text = '{"chunks": 60, "delay": 0.1}'
            before = await asyncio.gather(*[client.send(text) for _ in range(10)])
            streams = [asyncio.create_task(client.follow(task_id)) for task_id in before]
            proxy.freeze()
            after = await asyncio.gather(*[client.send(text) for _ in range(10)])
            streams += [asyncio.create_task(client.follow(task_id)) for task_id in after]
            for seen in await asyncio.gather(*streams):
                assert state(seen[-1][1]) == "COMPLETED"
        assert server.output().count(AWAY) == server.output().count(BACK) > 0
        for record in records(url).values():
            record.check()
        server.kill()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_a_server_whose_database_is_silent_ends_when_it_is_asked_to(
    serve: Serve, kind: Any
) -> None:
    limits = {**SETTINGS, "SHUTDOWN_SECONDS": 1}
    with fresh_database("postgresql") as url, Proxy(url) as proxy:
        server = serve(database_url=proxy.url, server=kind, **limits)
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            for _ in range(3):
                await client.send(load_message(end="hang"), returnImmediately=True)
            proxy.freeze(new_ones_too=True)
            await server.says(AWAY)
            await asyncio.to_thread(server.stop)  # it kills what does not end
        assert server.exit_code in (0, -signal.SIGTERM)  # uvicorn ends by the signal


async def test_a_worker_whose_connections_fall_silent_goes_on_and_ends_when_it_is_asked_to() -> (
    None
):
    limits = {**SETTINGS, "LEASE_SECONDS": 3, "SHUTDOWN_SECONDS": 1}
    with (
        fresh_database("postgresql") as url,
        Proxy(url) as proxy,
        Cluster(database_url=url, **limits) as site,
        Cluster(database_url=proxy.url, **limits) as behind_proxy,
    ):
        server, worker = site.server(), behind_proxy.worker()
        async with asyncio.timeout(SECONDS), SocketClient(server.url, "load-retry") as client:
            await client.send(load_message())
            proxy.freeze()
            await client.send(load_message())
            task = await client.send(load_message(chunks=20, delay=0.1), returnImmediately=True)
            async with client.open("SubscribeToTask", id=task["id"], last_event_id="1") as events:
                assert state((await anext(events))[1]) == "WORKING"
            said = worker.output().count(AWAY)
            proxy.freeze(new_ones_too=True)
            while worker.output().count(AWAY) == said:
                await asyncio.to_thread(worker.look_again)
            await asyncio.to_thread(worker.stop)  # it kills what does not end
            assert worker.exit_code == 0
            site.worker()
            seen = await client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
            assert state(seen[-1][1]) == "COMPLETED"
        for record in records(url).values():
            record.check()
            assert record.runs[-1].outcome == "completed"
