"""Measure what operations cost in databases of different sizes, and what more servers would do.

    python -m benchmarks.growth [--rounds 7] [--tasks 10000 100000 1000000] [--write]

Each size has a PostgreSQL database and a daphne of its own. All tasks have one owner.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Any, TypeAlias

import psutil

from benchmarks import cores, pages, postgresql
from benchmarks.figures import number
from benchmarks.fill import fill
from benchmarks.peer import Peer, first_event
from benchmarks.servers import OURS
from benchmarks.wire import page
from tests import servers
from tests.wire import load_message

SECTION = "growth"
ROUNDS, TASKS = 7, (10_000, 100_000, 1_000_000)
# How often a round does each operation, of which the median counts.
REPEATED = 20
CHUNKS = 100
SERVERS = (1, 2, 4)
LIST = "/admin/a2a_app/task/"
LOG_IN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("benchmark"))
print(client.cookies["sessionid"].value)
"""

# The milliseconds of an operation in each round, by the number of tasks.
Rounds: TypeAlias = Mapping[int, list[float]]
Operation: TypeAlias = Callable[[Peer], Awaitable[object]]


class Site:
    """A server whose database has so many tasks, and what clients know of it."""

    def __init__(self, stack: ExitStack, tasks: int) -> None:
        """Start the server and fill its database."""
        self.peer = OURS.start(stack)
        asyncio.run(fill(self.peer, tasks))
        self.session = _log_in(self.peer)
        self.context_id, self.token, self.endless = asyncio.run(self._prepare())

    async def _prepare(self) -> tuple[str, str, str]:
        task = _result(await self.peer.ask("GetTask", id=self.peer.small))
        listed = _result(await self.peer.ask("ListTasks"))
        endless = await self.peer.begin(chunks=2, delay=3600.0)
        return task["contextId"], listed["nextPageToken"], endless

    async def send(self) -> None:
        """Send a message, and wait for its end."""
        await self.peer.send()

    async def get(self) -> None:
        """Get a task."""
        await self.peer.get()

    async def stream(self) -> None:
        """Read a stream of chunks to its end."""
        message = load_message(chunks=CHUNKS)
        await self.peer.ask("SendStreamingMessage", expect=b"COMPLETED", message=message)

    async def subscribe(self) -> None:
        """Follow a task until its first event has come."""
        async with self.peer.open("SubscribeToTask", id=self.endless) as reader:
            await first_event(reader)

    async def list(self, **asked: Any) -> None:
        """List tasks."""
        await self.peer.ask("ListTasks", **asked)

    async def next_page(self) -> None:
        """List the second page of tasks."""
        await self.list(pageToken=self.token)

    async def list_of_context(self) -> None:
        """List the tasks of a conversation."""
        await self.list(contextId=self.context_id)

    async def admin(self, query: str = "") -> None:
        """Open the list of tasks in the admin."""
        await page(self.peer.processes[0], LIST + query, sessionid=self.session)

    async def search(self) -> None:
        """Search for a task in the admin."""
        await self.admin(f"?q={self.context_id}")


OPERATIONS: dict[str, Callable[[Site], Awaitable[None]]] = {
    "SendMessage": Site.send,
    "GetTask": Site.get,
    f"a stream of {CHUNKS} chunks": Site.stream,
    "SubscribeToTask, to the first event": Site.subscribe,
    "ListTasks, the first page": Site.list,
    "ListTasks, the next page": Site.next_page,
    "ListTasks, of a state that most have": partial(Site.list, status="TASK_STATE_COMPLETED"),
    "ListTasks, of a state that none has": partial(Site.list, status="TASK_STATE_REJECTED"),
    "ListTasks, of a conversation": Site.list_of_context,
    "the admin's list": Site.admin,
    "the admin's list, by state": partial(Site.admin, query="?state=TASK_STATE_COMPLETED"),
    "the admin's search": Site.search,
}


def _log_in(peer: Peer) -> str:
    """Make a superuser, and return the key of its session."""
    site = {"DATABASE_URL": peer.database_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "manage.py", "shell", "-c", LOG_IN]
    said = subprocess.check_output(command, cwd=servers.ROOT, env={**os.environ, **site}, text=True)
    return said.split()[-1]


def _result(said: bytes) -> Any:
    return json.loads(said.partition(b"\r\n\r\n")[2])["result"]


async def _milliseconds(operation: Callable[[Site], Awaitable[None]], site: Site) -> float:
    taken = []
    for _ in range(REPEATED):
        begun = time.perf_counter()
        await operation(site)
        taken.append(time.perf_counter() - begun)
    return median(taken) * 1e3


def compare(sites: Mapping[int, Site], rounds: int) -> dict[str, Rounds]:
    """Do each operation on all sites in turn, again and again. The first round does not count."""
    found: dict[str, Rounds] = {name: {tasks: [] for tasks in sites} for name in OPERATIONS}
    for each in range(rounds + 1):
        for name, operation in OPERATIONS.items():
            for tasks, site in sites.items():
                figure = asyncio.run(_milliseconds(operation, site))
                if each:
                    found[name][tasks].append(figure)
    return found


def table(found: Mapping[str, Rounds]) -> str:
    """Return the milliseconds in the smallest database, and the ratios of the others to it."""
    smallest, *others = next(iter(found.values()))
    heads = [f"{smallest:,} tasks, ms", *(f"{tasks:,}" for tasks in others)]
    lines = [f"| operation | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for name, rounds in found.items():
        first = rounds[smallest]
        ratios = [
            median(more / less for more, less in zip(rounds[tasks], first, strict=True))
            for tasks in others
        ]
        cells = [number(median(first)), *(f"{ratio:.2f}" for ratio in ratios)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _database_cpu() -> float:
    backends = psutil.Process(servers.postgresql().get_pid()).children()
    each = [backend.cpu_times() for backend in backends]
    return float(sum(times.user + times.system for times in each))


async def _send_all(site: Site, count: int) -> None:
    for _ in range(count):
        await site.send()


def more_servers(site: Site, sends: int = 300) -> str:
    """Reckon what more servers would do on one PostgreSQL, by what one message costs each."""
    ours, theirs = site.peer.cpu(), _database_cpu()
    asyncio.run(_send_all(site, sends))
    server = (site.peer.cpu() - ours) / sends * 1e3
    database = (_database_cpu() - theirs) / sends * 1e3
    lines = [
        f"A blocking `SendMessage` takes {number(server)} ms of a server's core, and "
        f"{number(database)} ms of PostgreSQL's. So *n* servers with a core each take "
        f"1,000 *n* / {number(server)} messages a second, and each 1,000 of them take "
        f"{number(database)} cores of PostgreSQL:",
        "",
        "| servers | messages a second | cores of PostgreSQL |",
        "| ---: | ---: | ---: |",
    ]
    for count in SERVERS:
        rate = count * 1e3 / server
        lines.append(f"| {count} | {number(rate)} | {number(rate * database / 1e3)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Fill, measure and print, and write the pages if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tasks", type=int, nargs="+", default=TASKS)
    parser.add_argument("--write", action="store_true", help="write the pages")
    given = parser.parse_args()
    cores.take_the_load_core()
    with ExitStack() as stack:
        postgresql.prepare_for_filling()
        sites = {tasks: Site(stack, tasks) for tasks in given.tasks}
        postgresql.wait_for_disk()
        measured = table(compare(sites, given.rounds))
        reckoned = more_servers(sites[given.tasks[0]])
    print(measured, reckoned, sep="\n", flush=True)
    if given.write:
        pages.write(pages.BOOK, SECTION, f"{measured}\n{reckoned}")
        pages.write(pages.PAGE, SECTION, measured)


if __name__ == "__main__":
    main()
