"""Measure what each page of the admin costs in a large database.

    python -m benchmarks.admin [--tasks 1000000] [--chunks 50000] [--write]

The database is PostgreSQL's. One of its tasks has so many chunks, and its conversation many tasks.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from benchmarks import pages, postgresql
from benchmarks.figures import number
from benchmarks.fill import fill
from benchmarks.peer import Peer, task_id
from benchmarks.servers import OURS
from tests import servers
from tests.wire import load_message

SECTION = "admin"
PAGE = servers.ROOT / "docs" / "admin.md"
TASKS, CHUNKS = 1_000_000, 50_000
# How many tasks the conversation of the large one has besides it.
OTHERS = 200
CONVERSATION = "of-many-tasks"


async def _prepare(peer: Peer, chunks: int) -> str:
    """Make a task with many chunks in a conversation with many tasks, and return its id."""
    for _ in range(OTHERS):
        await peer.ask("SendMessage", message=_message())
    large = await peer.ask("SendMessage", message=_message(chunks=chunks))
    return task_id(large)


def _message(**load: Any) -> dict[str, Any]:
    return {**load_message(**load), "contextId": CONVERSATION}


def measure(peer: Peer, large: str) -> dict[str, dict[str, float]]:
    """Return what each page costs, as a process of its own has measured it."""
    env = {
        **os.environ,
        "DATABASE_URL": peer.database_url,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "LARGE_TASK": large,
    }
    code = "from benchmarks.visits import main; main()"
    command = [sys.executable, "manage.py", "shell", "-c", code]
    said = subprocess.check_output(command, cwd=servers.ROOT, env=env, text=True)
    found: dict[str, dict[str, float]] = json.loads(said.splitlines()[-1])
    return found


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return what was measured, as Markdown."""
    lines = ["| page | statements | database, ms | page, kB |", "| --- | ---: | ---: | ---: |"]
    for name, costs in found.items():
        cells = (number(costs["ms"]), number(costs["kB"]))
        lines.append(f"| {name} | {costs['statements']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Fill, measure and print, and write the page if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admin", description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    parser.add_argument("--write", action="store_true", help="write the page")
    given = parser.parse_args()
    with ExitStack() as stack:
        postgresql.prepare_for_filling()
        peer = OURS.start(stack)
        asyncio.run(fill(peer, given.tasks))
        large = asyncio.run(_prepare(peer, given.chunks))
        postgresql.wait_for_disk()
        measured = table(measure(peer, large))
    print(measured, flush=True)
    if given.write:
        pages.write(PAGE, SECTION, measured)


if __name__ == "__main__":
    main()
