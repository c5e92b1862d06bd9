"""A worker that is frozen for longer than its lease, and goes on after another took over (R7)."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from tests.acceptance.records import records
from tests.clients.sockets import SocketClient
from tests.cluster import Cluster
from tests.servers import Process, free_port
from tests.wire import state, text

SECONDS = 60
# A loaded machine renews leases late, and only what is frozen may lose one here.
QUICK: dict[str, Any] = {
    "LEASE_SECONDS": 4,
    "SWEEP_SECONDS": 0.3,
    "PUSH_HOSTS": ["127.0.0.1"],
    "PUSH_ALLOW_HTTP": True,
}
# Small steps: it is often writing.
STEPS = json.dumps({"steps": 300, "delay": 0.01})

HOLDS_A_ROW = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
    AND query LIKE '%"a2a_app_event"%'
"""


@pytest.mark.parametrize("amid_a_transaction", [False, True])
async def test_a_frozen_worker_is_replaced_in_time_and_refused_when_it_goes_on(
    database_url: str, amid_a_transaction: bool
) -> None:
    with Cluster(database_url=database_url, **QUICK) as site:
        server, worker = site.server(), site.worker()
        async with asyncio.timeout(SECONDS), SocketClient(server.url, "steps-for-ever") as client:
            # A write of a task with a webhook has two statements, and so a transaction.
            webhook = {"url": f"http://127.0.0.1:{free_port()}/"}
            configuration = {"taskPushNotificationConfig": webhook} if amid_a_transaction else {}
            task = await client.send(STEPS, returnImmediately=True, **configuration)
            opened = client.open("SubscribeToTask", id=task["id"], last_event_id="1")
            async with opened as events:
                await _step(events, "1 5")
                await _freeze(worker, database_url, amid_a_transaction=amid_a_transaction)
                site.worker()
                seen = await _step(events, "2 5")
                lost = records(database_url)[task["id"]].runs[0]
                os.kill(worker.pid, signal.SIGCONT)
                # It learns it from its heartbeat or from a write, whichever is first.
                await worker.says(f"Run {lost.id}")
                rest = [event async for event in events]
    assert state(rest[-1][1]) == "COMPLETED"
    record = records(database_url)[task["id"]]
    record.check()
    record.check_steps()
    assert [run.outcome for run in record.runs] == ["lost", "completed"]
    assert [number for number, _ in rest] == list(range(seen + 1, len(record.log) + 1))


async def _step(events: AsyncIterator[tuple[int, dict[str, Any]]], step: str) -> int:
    """Read a stream up to a step, and return its number."""
    async for number, item in events:
        if text(item) == step:
            return number
    raise AssertionError(f"The stream has ended without {step}.")


async def _freeze(worker: Process, database_url: str, *, amid_a_transaction: bool) -> None:
    """Stop a worker where it holds the row of its task, or where it does not."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        while True:
            os.kill(worker.pid, signal.SIGSTOP)
            row = connection.execute(HOLDS_A_ROW).fetchone()
            assert row is not None
            if bool(row[0]) == amid_a_transaction:
                return
            os.kill(worker.pid, signal.SIGCONT)
            # As often as there is something to stop in the middle of.
            await asyncio.to_thread(connection.execute, "SELECT pg_sleep(0.005)")
