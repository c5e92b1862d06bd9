"""Clocks that are put forward or back: nobody's run is taken away, and no lost one is forgotten."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import libfaketime
import psycopg
import pytest

from a2a_app.agents.durable.errands import LONGEST_LOOK
from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import folder, fresh_database, own_postgresql
from tests.wire import load_message, state

SECONDS = 60
# How long a process goes by the clock as it has read it last, in whole seconds that are over: up
# to one more in all.
CACHED = 1
SETTINGS: dict[str, Any] = {"LEASE_SECONDS": 3, "SWEEP_SECONDS": 0.3}

SECONDS_ASLEEP = (
    "SELECT extract(epoch FROM wakes_at - now()) FROM a2a_app_run "
    "WHERE task_id = %s AND wakes_at IS NOT NULL"
)


class Clock:
    """The clock of the processes that are started under it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        """Set it, within CACHED + 1 seconds, to so many seconds before or after the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)  # at once: it may be read meanwhile


@contextmanager
def under(clock: Path) -> Iterator[Clock]:
    """Put the processes that are started from here on under a clock of their own."""
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_CACHE_DURATION": str(CACHED),  # to read it each time would cost much
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }.items():
            environment.setenv(name, value)
        yield Clock(clock)


@pytest.fixture(scope="module")
def postgresql_under_a_clock() -> Iterator[tuple[str, Clock]]:
    """Start PostgreSQL, for all tests here, under a clock that only it has."""
    with ExitStack() as stack:
        with under(folder() / "clock") as clock:
            _, url = stack.enter_context(own_postgresql())
        yield url, clock


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[str, Clock]]:
    """Yield a database's URL and its clock: SQLite has the one of its process."""
    if request.param == "postgresql":
        url, clock = request.getfixturevalue("postgresql_under_a_clock")
        clock.set(0)
        yield url, clock
        return
    with fresh_database("sqlite") as url, under(folder() / "clock_of_sqlite") as clock:
        yield url, clock


@pytest.mark.parametrize(
    ("database", "agent"),
    [("sqlite", "load"), ("postgresql", "load-retry")],
    indirect=["database"],
)
async def test_a_clock_that_is_put_forward_and_back_costs_no_process_its_turns(
    serve: Serve, database: tuple[str, Clock], agent: str
) -> None:
    url, clock = database
    server = serve(database_url=url, **SETTINGS)
    load = load_message(chunks=50, delay=0.1)
    async with asyncio.timeout(SECONDS), SocketClient(server.url, agent) as client:
        tasks = [await client.send(load, returnImmediately=True) for _ in range(3)]
        async with client.open("SubscribeToTask", id=tasks[0]["id"]) as events:
            for _ in range(10):  # meanwhile the server has looked at the clock
                await anext(events)
            # By how much to a tenth of a second depends on when the server looks.
            for seconds, said in ((300, "clock has jumped by"), (0, "clock has jumped by -")):
                clock.set(seconds)
                await server.says(said)
        for task in tasks:
            seen = await client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
            assert state(seen[-1][1]) == "COMPLETED"
            # With the beginning and the end: it was begun once.
            assert len(seen) == 52


async def test_a_run_of_a_crash_under_a_clock_that_was_ahead_is_found_once_it_is_right(
    serve: Serve, database: tuple[str, Clock]
) -> None:
    url, clock = database
    clock.set(3600)
    server = serve(database_url=url, **SETTINGS)
    async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
        task = await client.send(load_message(end="hang"), returnImmediately=True)
        server.kill()
        clock.set(0)
        server.start()
        seen = await client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
    assert state(seen[-1][1]) == "FAILED"


@pytest.mark.parametrize("hours", [-1, 1])
async def test_another_agent_is_looked_at_in_time_by_the_clock_of_the_database(
    serve: Serve, postgresql_under_a_clock: tuple[str, Clock], hours: int
) -> None:
    url, clock = postgresql_under_a_clock
    clock.set(hours * 3600)
    # Until no session has the clock from before, or two of them would differ by an hour.
    await asyncio.sleep(CACHED + 1)
    elsewhere = {"next": {"URL": f"{serve().url}/a2a/load"}}
    server = serve(database_url=url, REMOTE_AGENTS=elsewhere, PUT_AWAY_SECONDS=0.2)
    with psycopg.connect(url) as connection:
        async with asyncio.timeout(SECONDS), SocketClient(server.url, "relay") as client:
            task = await client.send('{"end": "hang"}', returnImmediately=True)
            # Another process writes it, which tells us nothing.
            while not (found := connection.execute(SECONDS_ASLEEP, [task["id"]]).fetchone()):
                connection.rollback()
                await asyncio.sleep(0.05)  # as said
            await client.result("CancelTask", id=task["id"])
    assert 0 < found[0] <= LONGEST_LOOK.total_seconds()
