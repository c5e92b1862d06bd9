"""Durable turns on a server that is killed: each step counts once, and nothing is said twice."""

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.clients.cluster import ClusterClient
from tests.servers import Process, fresh_database, web_server
from tests.wire import state, text

SECONDS = 120
QUICK: dict[str, Any] = {"LEASE_SECONDS": 1.5, "SWEEP_SECONDS": 0.3, "PUT_AWAY_SECONDS": 0}
TASKS, STEPS, SLEEPS_AFTER = 3, 10, 5
# After how many notes the server is killed.
KILLS = (5, 15)


def query(path: str, statement: str) -> list[Any]:
    """Return the rows of a statement, from a database that somebody may be writing to."""
    with closing(sqlite3.connect(path, timeout=60)) as rows, rows:
        return rows.execute(statement).fetchall()


async def kill(server: Process, book: str) -> None:
    """Kill the server and start it again, each time that so much was noted."""
    for enough in KILLS:
        # Another process writes there, which tells us nothing.
        while len(query(book, "SELECT 1 FROM note")) < enough:  # noqa: ASYNC110  # as said
            await asyncio.sleep(0.05)
        server.kill()
        await asyncio.to_thread(server.start)


async def test_each_step_counts_once_and_no_word_is_said_twice_while_the_server_is_killed(
    tmp_path: Path,
) -> None:
    book = str(tmp_path / "book.sqlite3")
    query(book, "CREATE TABLE note (task TEXT, number INTEGER, word TEXT)")
    told = {"book": book, "steps": STEPS, "sleeps_after": SLEEPS_AFTER, "delay": 0.2}
    with fresh_database("sqlite") as url:
        server = web_server("daphne", database_url=url, **QUICK)
        try:
            server.start()
            async with (
                asyncio.timeout(SECONDS),
                ClusterClient([server.url], "bookkeeper") as client,
            ):
                tasks = [await client.send(json.dumps(told)) for _ in range(TASKS)]
                killing = asyncio.create_task(kill(server, book))
                streams = await asyncio.gather(*map(client.follow, tasks))
                await killing
        finally:
            server.kill()
        steps = "SELECT task_id, number, result FROM a2a_app_step WHERE kind = 'work' ORDER BY 1, 2"
        recorded = query(url.partition("///")[2], steps)
    noted = query(book, "SELECT task, number, word FROM note")
    for task, seen in zip(tasks, streams, strict=True):
        assert state(seen[-1][1]) == "COMPLETED"
        said = "".join(text(item) for _, item in seen).split()
        results = [
            json.loads(result)[0] for key, _, result in recorded if key == task.replace("-", "")
        ]
        assert said == "".join(results).split()
        assert len(said) == len(set(said)) == STEPS
        words = [word for key, _, word in noted if key == task]
        assert set(said) <= set(words)
    times = Counter((task, number) for task, number, _ in noted)
    assert max(times.values()) <= 1 + len(KILLS)
    assert len(noted) <= TASKS * (STEPS + len(KILLS))
