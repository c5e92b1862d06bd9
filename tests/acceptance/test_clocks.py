"""Clocks that are put forward or back: nobody's run is taken away, and no lost one is forgotten."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libfaketime
import pytest

from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import folder, fresh_database, own_postgresql
from tests.wire import load_message, state

SECONDS = 60
SETTINGS: dict[str, Any] = {"LEASE_SECONDS": 3, "SWEEP_SECONDS": 0.3}


class Clock:
    """The clock of the processes that are started under it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        """Set it, within a second, to so many seconds before or after the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)  # at once: it may be read meanwhile


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put the processes that are started from here on under a clock of their own."""
    file = folder() / "clock"
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    for name, value in {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # to read it each time would cost much
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return Clock(file)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Yield a database under that clock: SQLite has its process's, PostgreSQL one of its own."""
    if request.param == "sqlite":
        with fresh_database("sqlite") as url:
            yield url
        return
    with own_postgresql() as (_, url):
        monkeypatch.delenv("LD_PRELOAD")
        yield url


@pytest.mark.parametrize(
    ("database_url", "agent"),
    [("sqlite", "load"), ("postgresql", "load-retry")],
    indirect=["database_url"],
)
async def test_a_clock_that_is_put_forward_costs_no_process_its_turns(
    serve: Serve, clock: Clock, database_url: str, agent: str
) -> None:
    server = serve(database_url=database_url, **SETTINGS)
    load = load_message(chunks=40, delay=0.1)
    async with asyncio.timeout(SECONDS), SocketClient(server.url, agent) as client:
        tasks = [await client.send(load, returnImmediately=True) for _ in range(3)]
        async with client.open("SubscribeToTask", id=tasks[0]["id"]) as events:
            for _ in range(10):  # meanwhile the server has looked at the clock
                await anext(events)
            clock.set(300)
        for task in tasks:
            seen = await client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
            assert state(seen[-1][1]) == "COMPLETED"
            # With the beginning and the end: it was begun once.
            assert len(seen) == 42
    assert "clock has jumped by 300" in server.output()


async def test_a_run_of_a_crash_under_a_clock_that_was_ahead_is_found_once_it_is_right(
    serve: Serve, clock: Clock, database_url: str
) -> None:
    clock.set(3600)
    server = serve(database_url=database_url, **SETTINGS)
    async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
        task = await client.send(load_message(end="hang"), returnImmediately=True)
        server.kill()
        clock.set(0)
        server.start()
        seen = await client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
    assert state(seen[-1][1]) == "FAILED"
