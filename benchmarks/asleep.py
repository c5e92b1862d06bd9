"""Asleep: many turns that are put away, what they hold, and how soon those awake that are due."""

import asyncio
import json
import sqlite3
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.clients.sockets import SocketClient
from tests.servers import Process, fresh_database, web_server
from tests.wire import message

WARM, DUE, AT_ONCE = 1_000, 1_000, 20
# No turn has so many steps.
NEVER = 99
ASLEEP = (
    "SELECT count(*) FROM a2a_app_run WHERE ended_at IS NULL AND worker = '' AND wakes_at > now()"
)
# Some of those that sleep are due within one second, which begins in three.
MAKE_DUE = """
WITH chosen AS (
    SELECT id, task_id, now() + interval '3 seconds' + random() * interval '1 second' AS due
    FROM a2a_app_run WHERE ended_at IS NULL AND wakes_at > now() LIMIT %s),
steps AS (
    UPDATE a2a_app_step SET until = due FROM chosen
    WHERE a2a_app_step.task_id = chosen.task_id AND kind = 'sleep')
UPDATE a2a_app_run SET wakes_at = due FROM chosen WHERE a2a_app_run.id = chosen.id
"""
AWAKE = """
SELECT count(*), extract(epoch FROM percentile_disc(0.5) WITHIN GROUP (ORDER BY late)),
       extract(epoch FROM max(late)), extract(epoch FROM max(started_at) - min(wakes_at))
FROM (SELECT run.started_at, step.until AS wakes_at, run.started_at - step.until AS late
      FROM a2a_app_run run JOIN a2a_app_step step ON step.task_id = run.task_id
      WHERE run.attempt = 2 AND run.started_at IS NOT NULL AND step.kind = 'sleep') awake
"""
AWAKE_AND_ENDED = "SELECT count(*) FROM a2a_app_run WHERE attempt = 2 AND ended_at IS NOT NULL"
ENDED = "SELECT count(*) FROM a2a_app_task WHERE state = 'TASK_STATE_COMPLETED'"


@dataclass(frozen=True)
class Pair:
    """Two servers on one database, and what is said to their agent."""

    processes: list[Process]
    connection: Any
    told: dict[str, Any]

    @classmethod
    def start(cls, stack: ExitStack) -> "Pair":
        """Start them."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        book = str(folder / "book.sqlite3")
        with closing(sqlite3.connect(book)) as rows, rows:
            rows.execute("PRAGMA journal_mode = WAL")
            rows.execute("CREATE TABLE note (task TEXT, number INTEGER, word TEXT)")
        url = stack.enter_context(fresh_database("postgresql"))
        limits: dict[str, Any] = {"WAITING_TURNS_PER_OWNER": 0, "PUT_AWAY_SECONDS": 0}
        servers = [web_server("uvicorn", database_url=url, layer="redis", **limits) for _ in "ab"]
        for each in servers:
            stack.callback(each.kill)
            each.start()
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        told = {"book": book, "steps": 1, "delay": 7 * 24 * 3600, "takes": 0}
        return cls(servers, connection, told)

    async def hold(self, turns: int, how: str, query: str, sleeps_after: int) -> None:
        """Print the memory of the servers with few turns and with many.

        Args:
            turns: How many are many.
            how: What the turns do.
            query: Counts those that do it.
            sleeps_after: After which of its steps a turn sleeps.
        """
        told = json.dumps({**self.told, "sleeps_after": sleeps_after})
        async with SocketClient(self.processes[0].url, "bookkeeper") as client:
            for count, more in ((WARM, WARM), (turns, turns - WARM)):
                begun = time.monotonic()
                await _send(client, told, more)
                await _until(self.connection, query, count)
                seconds = time.monotonic() - begun
                megabytes = _megabytes(self.processes)
                print(f"{count:,} {how}: {megabytes:.0f} MB, after {seconds:.0f} s", flush=True)


async def asleep(stack: ExitStack, turns: int) -> None:
    """Print what turns that sleep hold in memory, and when those awake that are due."""
    with ExitStack() as others:
        await Pair.start(others).hold(turns, "that have ended", ENDED, NEVER)
    pair = Pair.start(stack)
    await pair.hold(turns, "asleep", ASLEEP, 0)
    processes, connection = pair.processes, pair.connection
    before = _processor_seconds(processes, connection)
    connection.execute(MAKE_DUE, [DUE])
    count, median, latest, last = await _until(connection, AWAKE, DUE)
    print(f"{count:,} due within a second: the last one awake {last:.1f} s after the first was")
    print(f"due; late by {median:.2f} s in the median, and {latest:.2f} s at most", flush=True)
    await _until(connection, AWAKE_AND_ENDED, DUE)
    after = _processor_seconds(processes, connection)
    ours, database = [(end - begin) / DUE for begin, end in zip(before, after, strict=True)]
    print(f"a turn takes {ours * 1e3:.2f} ms of processor from its waking to its end, and")
    print(f"{database * 1e3:.2f} ms of the database's", flush=True)


async def _send(client: SocketClient, told: str, count: int) -> None:
    left = iter(range(count))

    async def one_after_the_other() -> None:
        for _ in left:
            await client.send(message(told), returnImmediately=True)

    await asyncio.gather(*[one_after_the_other() for _ in range(AT_ONCE)])


async def _until(connection: Any, query: str, enough: int) -> tuple[Any, ...]:
    # The database is asked again and again, since it tells nobody.
    while (row := connection.execute(query).fetchone())[0] < enough:  # noqa: ASYNC110  # as said
        await asyncio.sleep(0.2)
    return tuple(row)


def _processor_seconds(processes: list[Process], connection: Any) -> tuple[float, float]:
    """Return what the servers have used of the processors, and what PostgreSQL has."""
    backend = psutil.Process(connection.info.backend_pid)
    server = backend.parent()
    assert server is not None
    ours = [psutil.Process(each.pid) for each in processes]
    times = [[each.cpu_times() for each in all_] for all_ in (ours, [server, *server.children()])]
    ended = server.cpu_times()
    first, second = (sum(each.user + each.system for each in part) for part in times)
    return first, second + ended.children_user + ended.children_system


def _megabytes(processes: list[Process]) -> float:
    return sum(psutil.Process(each.pid).memory_info().rss for each in processes) / 1e6
