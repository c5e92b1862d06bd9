"""What becomes of PostgreSQL's sessions in production: closed, read-only, or not to be opened."""

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest

from tests.acceptance.records import records
from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import Process, own_postgresql
from tests.wire import load_message, state

SECONDS = 60
# No sweep looks after what is tested here.
SETTINGS: dict[str, Any] = {"LEASE_SECONDS": 15, "SWEEP_SECONDS": 60}
AWAY, BACK = "The database does not answer", "The database answers again"
UNAVAILABLE = -32052
SIDE_BY_SIDE = 20
SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " AND pid <> pg_backend_pid()"
)
READ_ONLY = "default_transaction_read_only"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with own_postgresql() as (_, url):
        yield url


class Operator:
    """Somebody who changes PostgreSQL's settings, over a session that is never closed."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        connection.execute("SET idle_session_timeout = 0")

    def change(self, name: str, value: str) -> None:
        """Change a setting of the server, and return when sessions that are there follow it."""
        self._connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self._connection.execute("SELECT pg_reload_conf()")
        self._until(f"SELECT 1 FROM pg_settings WHERE name = '{name}' AND reset_val = '{value}'")

    def keep_for_new_sessions(self, name: str, value: str) -> None:
        """Have sessions that begin from now on keep to a value, whatever the server's is."""
        self._connection.execute(f"ALTER DATABASE postgres SET {name} = '{value}'")

    def reset(self) -> None:
        """Undo all changes."""
        self._connection.execute("SET transaction_read_only = off")
        self._connection.execute("ALTER SYSTEM RESET ALL")
        self._connection.execute("SELECT pg_reload_conf()")
        self._connection.execute("SET default_transaction_read_only = off")
        self._connection.execute("ALTER DATABASE postgres RESET ALL")

    def wait_until_alone(self) -> None:
        """Return when no session but this one is left."""
        self._until(f"SELECT 1 WHERE NOT EXISTS ({SESSIONS})")

    def sessions(self) -> set[int]:
        """Return the sessions of all others."""
        return {pid for (pid,) in self._connection.execute(SESSIONS)}

    def time(self) -> datetime:
        """Return what time it is."""
        [(now,)] = self._connection.execute("SELECT clock_timestamp()").fetchall()
        assert isinstance(now, datetime)
        return now

    def sessions_used_since(self, time: datetime) -> set[int]:
        """Return the sessions of all others that were used after a time."""
        used = self._connection.execute(f"{SESSIONS} AND query_start > %s", [time])
        return {pid for (pid,) in used}

    def end_sessions(self) -> None:
        """End the sessions of all others."""
        self._connection.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({SESSIONS}) others")

    def _until(self, query: str) -> None:
        for _ in range(SECONDS * 1000):
            if self._connection.execute(query).fetchall():
                return
            self._connection.execute("SELECT pg_sleep(0.001)")
        raise TimeoutError(query)


@contextmanager
def no_more_files(server: Process) -> Iterator[None]:
    """Let a process open no more files and connections; it keeps those that are open."""
    kind = resource.RLIMIT_NOFILE
    before = resource.prlimit(server.pid, kind)
    resource.prlimit(server.pid, kind, (3, before[1]))  # as many as have been open from the start
    try:
        yield
    finally:
        resource.prlimit(server.pid, kind, before)


async def send_over_a_new_connection(server: Process) -> dict[str, Any]:
    async with SocketClient(server.url) as client:
        return await client.send(load_message())


@contextmanager
def operating(url: str) -> Iterator[Operator]:
    with psycopg.connect(url, autocommit=True) as connection:
        operator = Operator(connection)
        try:
            yield operator
        finally:
            operator.reset()


async def test_sessions_that_are_closed_while_they_are_idle_cost_nobody_anything(
    serve: Serve, url: str
) -> None:
    server = serve(database_url=url, **{**SETTINGS, "LEASE_SECONDS": 3})
    with operating(url) as operator:
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            # Its lease is renewed each second, over a session that does not last as long.
            waiting = load_message(chunks=2, delay=4)
            under_way = asyncio.create_task(client.send(waiting))
            await client.send(load_message())
            operator.change("idle_session_timeout", "300")
            for _ in range(3):
                await asyncio.gather(*[client.send(load_message()) for _ in range(SIDE_BY_SIDE)])
                await asyncio.to_thread(operator.wait_until_alone)
            assert state({"task": await under_way}) == "COMPLETED"
    assert AWAY not in server.output()
    assert "failed" not in server.output()


async def test_runs_wait_for_a_database_that_is_read_only_for_a_while(
    serve: Serve, url: str
) -> None:
    server = serve(database_url=url, **SETTINGS)
    with operating(url) as operator:
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            message = load_message(chunks=30, delay=0.05)
            sending = [asyncio.create_task(client.send(message)) for _ in range(5)]
            await client.send(load_message())
            operator.change(READ_ONLY, "on")
            await server.says(AWAY)
            for _ in range(5):
                error = await client.error("SendMessage", message=load_message())
                assert error["code"] == UNAVAILABLE
                await client.result("ListTasks")
            operator.reset()
            for task in await asyncio.gather(*sending):
                assert state({"task": task}) == "COMPLETED"
    # A write that had begun before may be over only then, as if all were well for a moment.
    assert 1 <= server.output().count(AWAY) == server.output().count(BACK) <= 2
    assert f"{AWAY}: cannot execute " in server.output()
    for record in records(url).values():
        record.check()


async def test_clients_are_told_to_try_again_while_no_file_can_be_opened(
    serve: Serve, url: str
) -> None:
    # One session, or another one would answer for a moment after the first was ended.
    server = serve(database_url=url, DATABASE_THREADS=1, **SETTINGS)
    with operating(url) as operator:
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            message = load_message(chunks=30, delay=0.05)
            sending = [asyncio.create_task(client.send(message)) for _ in range(5)]
            # The client keeps as many connections, on which it is answered meanwhile.
            await asyncio.gather(*[client.send(load_message()) for _ in range(SIDE_BY_SIDE)])
            with no_more_files(server):
                operator.end_sessions()
                await server.says(AWAY)
                tries = [
                    client.error("SendMessage", message=load_message()) for _ in range(SIDE_BY_SIDE)
                ]
                assert {error["code"] for error in await asyncio.gather(*tries)} == {UNAVAILABLE}
                sending.append(asyncio.create_task(send_over_a_new_connection(server)))
            for task in await asyncio.gather(*sending):
                assert state({"task": task}) == "COMPLETED"
    assert server.output().count(AWAY) == server.output().count(BACK) == 1
    for record in records(url).values():
        record.check()


async def test_sessions_of_a_server_that_was_demoted_are_given_up(serve: Serve, url: str) -> None:
    server = serve(database_url=url, **SETTINGS)
    with operating(url) as operator:
        async with asyncio.timeout(SECONDS), SocketClient(server.url) as client:
            message = load_message(chunks=30, delay=0.05)
            sending = [asyncio.create_task(client.send(message)) for _ in range(5)]
            await asyncio.gather(*[client.send(load_message()) for _ in range(SIDE_BY_SIDE)])
            before = operator.sessions()
            operator.keep_for_new_sessions(READ_ONLY, "off")
            operator.change(READ_ONLY, "on")
            noted: list[datetime] = []
            for _ in range(3):
                tasks = [client.send(load_message()) for _ in range(SIDE_BY_SIDE)]
                for task in await asyncio.gather(*tasks, *sending):
                    assert state({"task": task}) == "COMPLETED"
                noted.append(operator.time())
            assert len(before) > 3
            # A thread that has had nothing to do since may still have its session.
            assert not before & operator.sessions_used_since(noted[0])
            await asyncio.to_thread(server.stop)  # it kills what does not end
    assert server.exit_code in (0, -signal.SIGTERM)
    assert AWAY not in server.output()
    for record in records(url).values():
        record.check()
