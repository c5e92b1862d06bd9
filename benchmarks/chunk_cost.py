"""Measure what one more chunk of a stream costs, early and late in a long task (R9).

    python -m benchmarks.chunk_cost [rounds]

It starts its own servers, on SQLite and on PostgreSQL.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack

from benchmarks.places import PLACES, heading, row
from benchmarks.wire import answer
from tests.servers import ROOT, Database, Process, fresh_database, web_server
from tests.wire import load_message

DATABASES: tuple[Database, ...] = ("sqlite", "postgresql")
ROUNDS = 25
# Up to 128 chunks come at once, so a stream is timed over many such groups.
STREAM_WINDOW = 1_000
# The last chunk also closes the artifact. That costs more, so it stays out of the window.
CHUNKS = PLACES[-1] + STREAM_WINDOW + 500
ROUND_SECONDS = 120.0
# An event begins with its number; the first two are the task and the status "working".
EVENT_ID = re.compile(rb"^id: (\d+)", re.MULTILINE)
EVENTS_BEFORE_CHUNKS = 2


async def stream_round(server: Process) -> list[float]:
    """Stream one long task, and return the microseconds per chunk at each place."""
    arrived: dict[int, float] = {}
    answered = answer(
        server, "/a2a/load/", "SendStreamingMessage", message=load_message(chunks=CHUNKS)
    )
    async with asyncio.timeout(ROUND_SECONDS), answered as reader:
        while line := await reader.readline():
            if match := EVENT_ID.match(line):
                arrived[int(match[1]) - EVENTS_BEFORE_CHUNKS] = time.perf_counter()
    return [_cost(arrived, place) for place in PLACES]


def _cost(arrived: dict[int, float], place: int) -> float:
    begin, end = place, place + STREAM_WINDOW - 1
    # The stream begins with the task. Its first chunks may be in there, and are then no events.
    begin = next(number for number in range(begin, end) if number in arrived)
    return (arrived[end] - arrived[begin]) / (end - begin) * 1e6


def stream_cost(rounds: int) -> dict[Database, list[list[float]]]:
    """Measure streams through daphne, the databases in turn. The first round does not count."""
    found: dict[Database, list[list[float]]] = {database: [] for database in DATABASES}
    with ExitStack() as stack:
        servers = {}
        for database in DATABASES:
            url = stack.enter_context(fresh_database(database))
            servers[database] = web_server("daphne", database_url=url)
            stack.callback(servers[database].kill)
            servers[database].start()
        for number in range(rounds + 1):
            for database, server in servers.items():
                measured = asyncio.run(stream_round(server))
                if number:
                    found[database].append(measured)
    return found


def store_cost(database: Database, rounds: int) -> dict[str, list[list[float]]]:
    """Measure the store alone, in a process of its own."""
    with fresh_database(database) as url:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.store_cost", str(rounds)],
            cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, capture_output=True, check=True,
        )  # fmt: skip  # one option a line hides what is run
    found: dict[str, list[list[float]]] = json.loads(done.stdout)
    return found


def main(rounds: int) -> None:
    """Measure and print the table."""
    print(f"{rounds} rounds; medians, in brackets the middle half of the rounds\n\n{heading()}")
    for database, found in stream_cost(rounds).items():
        print(row(f"stream, daphne, {database}", found), flush=True)
    for database in DATABASES:
        for size, found in store_cost(database, rounds).items():
            print(row(f"store, {size} a transaction, {database}", found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
