"""Kills: durable turns while servers and workers are killed at random, and what is left of them."""

import asyncio
import json
import random
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg

from tests.clients.cluster import ClusterClient
from tests.cluster import Cluster
from tests.servers import Process, fresh_database
from tests.wire import state, text

TURNS, STEPS, AT_ONCE = 200, 10, 50
QUICK: dict[str, Any] = {"LEASE_SECONDS": 3, "SWEEP_SECONDS": 0.5, "PUT_AWAY_SECONDS": 0}
RECORDED = (
    "SELECT count(*), count(DISTINCT (task_id, number)) FROM a2a_app_step WHERE kind = 'work'"
)
OUTCOMES = "SELECT outcome, count(*) FROM a2a_app_run GROUP BY 1"


async def kills(stack: ExitStack, seconds: float) -> None:
    """Print what became of TURNS turns of STEPS steps while processes were killed."""
    book = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "book.sqlite3")
    with closing(sqlite3.connect(book)) as rows, rows:
        rows.execute("PRAGMA journal_mode = WAL")
        rows.execute("CREATE TABLE note (task TEXT, number INTEGER, word TEXT)")
    url = stack.enter_context(fresh_database("postgresql"))
    site = stack.enter_context(Cluster(database_url=url, **QUICK))
    servers, workers = site.start(servers=2, workers=2)
    urls = [server.url for server in servers]
    async with ClusterClient(urls, "bookkeeper") as client:
        told = {"book": book, "steps": STEPS, "sleeps_after": 4, "delay": 1.0}
        told["takes"] = seconds * AT_ONCE / TURNS / STEPS
        killing = asyncio.create_task(_kill([*servers, *workers], client, seconds))
        begun = time.monotonic()
        streams = await _work(client, json.dumps(told))
        killed = await killing
        print(f"{killed} kills; all turns done after {time.monotonic() - begun:.0f} s")
    _report(book, url, streams, client.resumed)


async def _kill(processes: list[Process], client: ClusterClient, seconds: float) -> int:
    """Kill one process after the other and start it again; return how many were killed."""
    killed, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(0.5, 4))
        victim = random.choice(processes)
        victim.kill()
        await asyncio.to_thread(victim.start)
        client.recovered()
        killed += 1
    return killed


async def _work(client: ClusterClient, told: str) -> dict[str, list[Any]]:
    streams: dict[str, list[Any]] = {}
    left = iter(range(TURNS))

    async def one_after_the_other() -> None:
        for _ in left:
            task_id = await client.send(told)
            streams[task_id] = await client.follow(task_id)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_the_other())
    return streams


def _report(book: str, url: str, streams: dict[str, list[Any]], resumed: int) -> None:
    with closing(sqlite3.connect(book)) as rows:
        noted = rows.execute("SELECT task, number, word FROM note").fetchall()
    said = {key: "".join(text(item) for _, item in seen).split() for key, seen in streams.items()}
    words: dict[str, set[str]] = {key: {w for task, _, w in noted if task == key} for key in said}
    times = Counter(Counter((task, number) for task, number, _ in noted).values())
    ends = Counter(state(seen[-1][1]) for seen in streams.values())
    whole = sum(len(s) == len(set(s)) == STEPS and set(s) <= words[key] for key, s in said.items())
    with psycopg.connect(url) as connection:
        [recorded] = connection.execute(RECORDED).fetchall()
        outcomes: dict[Any, Any] = dict(connection.execute(OUTCOMES).fetchall())
    print(f"turns by their end: {dict(ends)}; streams broken off and resumed: {resumed}")
    print(f"streams whole, without a repeated word, of results that were noted: {whole}")
    print(f"steps by how often their effect happened: {dict(sorted(times.items()))}")
    print(f"recorded results, and of how many steps: {recorded}; runs by outcome: {outcomes}")
