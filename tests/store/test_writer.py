"""The writer: many events, few transactions, in order."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.db import connections
from pytest_django import Settings

from a2a_app import database, models
from a2a_app.protocol import TaskState
from a2a_app.store.refusals import TaskEndedError, UnknownArtifactError
from a2a_app.store.task_head import read_task_head
from a2a_app.store.updates import Returned
from a2a_app.store.writes.append import append
from a2a_app.store.writes.writer import BATCH, Writer
from tests.servers import postgresql_url
from tests.tasks import begin, chunk, claim_of, status

pytestmark = pytest.mark.usefixtures("runtime")

SECONDS = 20


async def new_writer(lost: list[str] | None = None) -> Writer:
    appended = await database.run(begin)
    claim = await database.run(claim_of, appended.head.task_id)
    assert claim is not None
    return Writer(
        claim.head, claim.run, on_loss=lambda: (lost if lost is not None else []).append("lost")
    )


async def numbers() -> list[int]:
    events = models.Event.objects.order_by("seq").values_list("seq", flat=True)
    return await database.run(lambda: list(events))


async def test_a_terminal_status_is_committed_when_the_verb_returns() -> None:
    writer = await new_writer()
    await writer.put(status(TaskState.COMPLETED))
    assert await numbers() == [1, 2]


async def test_a_burst_is_committed_in_few_transactions_and_in_order() -> None:
    writer = await new_writer()
    await writer.put(chunk("0", append=False))
    for number in range(1, 1000):
        await writer.put(chunk(str(number)))
    await writer.put(Returned())
    assert await numbers() == list(range(1, 1003))
    artifact = await database.run(models.Artifact.objects.get)
    assert [part["text"] for part in artifact.parts] == [str(n) for n in range(1000)]


async def test_an_agent_that_is_faster_than_the_database_waits_for_it() -> None:
    writer = await new_writer()
    await writer.put(chunk("0", append=False))
    for _ in range(5 * BATCH):
        await writer.put(chunk("x"))
        assert len(writer._waiting) < BATCH
    await writer.flushed()


async def test_a_rule_that_is_broken_is_told_to_the_caller_at_once() -> None:
    writer = await new_writer()
    with pytest.raises(UnknownArtifactError):
        await writer.put(chunk("x"))
    await writer.put(status(TaskState.WORKING))
    await writer.flushed()
    assert await numbers() == [1, 2]


async def test_a_run_whose_task_was_ended_elsewhere_is_told_so_once() -> None:
    lost: list[str] = []
    writer = await new_writer(lost)
    head = await database.run(read_task_head, writer.head.task_id)
    await database.run(append, head, [status(TaskState.CANCELED)])
    with pytest.raises(TaskEndedError):
        await writer.put(status(TaskState.COMPLETED))
    with pytest.raises(TaskEndedError):
        await writer.put(chunk("x", append=False))
    assert lost == ["lost"]
    assert await numbers() == [1, 2]


async def test_a_caller_that_is_cancelled_does_not_stop_the_commit() -> None:
    writer = await new_writer()
    putting = asyncio.create_task(writer.put(status(TaskState.COMPLETED)))
    await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await writer.flushed()
    assert await numbers() == [1, 2]


@pytest.fixture
def reconnecting(runtime: None) -> Iterator[None]:
    """Let the test's own thread connect anew, once its connection was broken off."""
    yield
    connections.close_all()


@pytest.mark.usefixtures("reconnecting")
async def test_a_run_waits_for_a_database_that_is_away_and_writes_each_event_once() -> None:
    writer = await new_writer()
    await database.run(lose_patience)
    with away(), logged("a2a_app.database") as told:
        await writer.put(status(TaskState.WORKING, "on it"), chunk("0", append=False))
        returning = asyncio.create_task(writer.put(Returned()))
        await asyncio.wait_for(told.wait(), SECONDS)
    await asyncio.wait_for(returning, SECONDS)
    assert await numbers() == [1, 2, 3, 4]


@pytest.mark.usefixtures("reconnecting")
async def test_a_database_that_stays_away_for_longer_than_a_lease_ends_the_run(
    settings: Settings,
) -> None:
    settings.A2A = {**settings.A2A, "LEASE_SECONDS": 0.1}
    writer = await new_writer()
    await database.run(lose_patience)
    with away(), pytest.raises(database.AWAY):
        await writer.put(status(TaskState.COMPLETED))
    assert await numbers() == [1]


@pytest.mark.usefixtures("reconnecting")
async def test_an_outage_is_logged_once_and_costs_each_process_one_unit_of_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Side by side, so that each of the threads has a connection.
    await asyncio.gather(*[database.run(models.Task.objects.count) for _ in range(50)])
    await database.run(lose_patience)
    with away():
        for _ in range(3):
            with pytest.raises(database.AWAY):
                await database.run(write_nothing)
    await asyncio.gather(*[database.run(write_nothing) for _ in range(50)])
    [begun, ended] = [record.getMessage() for record in caplog.records]
    assert begun.startswith("The database does not answer: ")
    assert ended == "The database answers again."


def write_nothing() -> None:
    models.Task.objects.filter(seq=0).update(seq=0)


def lose_patience() -> None:
    """Have SQLite say at once that it is busy, where it would wait for seconds."""
    if connections[database.alias()].vendor == "sqlite":
        connections[database.alias()].cursor().execute("PRAGMA busy_timeout = 10")


@contextmanager
def away() -> Iterator[None]:
    """Take the database away: another holds SQLite's file, PostgreSQL lets nobody in."""
    name = str(connections[database.alias()].settings_dict["NAME"])
    if connections[database.alias()].vendor == "sqlite":
        with closing(sqlite3.connect(name, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
        return
    with psycopg.connect(postgresql_url(), autocommit=True) as other_database:
        other_database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        other_database.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
        try:
            yield
        finally:
            other_database.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def logged(name: str) -> Iterator[asyncio.Event]:
    """Give an event that is set once the logger says something."""
    event, handler = asyncio.Event(), logging.Handler()
    handler.emit = lambda record: event.set()  # type: ignore[method-assign]  # what it is for
    logging.getLogger(name).addHandler(handler)
    try:
        yield event
    finally:
        logging.getLogger(name).removeHandler(handler)
