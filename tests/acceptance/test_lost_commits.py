"""A claim that PostgreSQL committed, and whose connection broke before the worker knew of it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.acceptance.records import records
from tests.clients.cluster import ClusterClient
from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import own_postgresql
from tests.wire import load_message, state

SECONDS = 60
SETTINGS: dict[str, Any] = {"LEASE_SECONDS": 4, "SWEEP_SECONDS": 0.5}

# No standby has this name. So a commit that is to wait for one is done, and not answered. The first
# commit that claims a turn is to wait, and no other.
PREPARE = """
SET synchronous_commit = local;
ALTER DATABASE postgres SET synchronous_commit = local;
CREATE SEQUENCE claims;
CREATE FUNCTION wait_for_standby() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('claims') = 1 THEN PERFORM set_config('synchronous_commit', 'on', true); END IF;
  RETURN NEW;
END $$;
"""
NO_STANDBY = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
CLAIMS = {
    "as it is stored": "BEFORE INSERT ON a2a_app_run FOR EACH ROW WHEN (NEW.worker <> '')",
    "after it was stored": (
        "BEFORE UPDATE ON a2a_app_run FOR EACH ROW WHEN (OLD.worker = '' AND NEW.worker <> '')"
    ),
}
BREAK_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def database() -> Iterator[tuple[str, psycopg.Connection]]:
    with own_postgresql() as (_, url), psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PREPARE)
        connection.execute(NO_STANDBY)
        connection.execute("SELECT pg_reload_conf()")
        yield url, connection


def lose_claim(connection: psycopg.Connection, which: str) -> None:
    """Have the commit of the first such claim wait for what never comes."""
    connection.execute(f"CREATE TRIGGER lose {CLAIMS[which]} EXECUTE FUNCTION wait_for_standby()")


async def break_off(connection: psycopg.Connection) -> None:
    """Break off the connection whose commit waits, once there is one."""
    async with asyncio.timeout(SECONDS):
        while not await asyncio.to_thread(lambda: connection.execute(BREAK_OFF).fetchall()):
            pass


async def test_a_turn_that_was_stored_as_claimed_unheard_is_worked_on_all_the_same(
    database: tuple[str, psycopg.Connection], serve: Serve
) -> None:
    url, connection = database
    server = serve(database_url=url, **SETTINGS)
    lose_claim(connection, "as it is stored")
    async with asyncio.timeout(SECONDS), ClusterClient([server.url], "load") as client:
        sending = asyncio.create_task(client.send('{"chunks": 3}'))
        await break_off(connection)
        # The client has sent it again, as another message.
        answered = await sending
        both = records(url)
        assert len(both) == 2 and answered in both
        for task_id in both:
            assert state((await client.follow(task_id))[-1][1]) == "COMPLETED"
    for record in records(url).values():
        record.check()
        assert [run.attempt for run in record.runs] == [1]


async def test_a_turn_whose_claim_was_committed_unheard_is_worked_on_all_the_same(
    database: tuple[str, psycopg.Connection], serve: Serve
) -> None:
    url, connection = database
    server = serve(database_url=url, **SETTINGS)
    lose_claim(connection, "after it was stored")
    async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
        first = load_message(chunks=2, delay=0.5, end="input-required")
        task = await client.send(first, returnImmediately=True)
        # Its turn has to wait for the first one's end, and is claimed then.
        second = load_message(chunks=3) | {"taskId": task["id"]}
        streaming = asyncio.create_task(client.stream("SendStreamingMessage", message=second))
        await break_off(connection)
        seen = await streaming
    assert state(seen[-1][1]) == "COMPLETED"
    [record] = records(url).values()
    assert [(run.attempt, run.outcome) for run in record.runs] == [(1, "yielded"), (1, "completed")]
