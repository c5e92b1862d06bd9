"""Profiles: which package's code runs for messages and for streams, and which SQL."""

import asyncio
import re
import sys
import sysconfig
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import postgresql
from benchmarks.figures import number
from benchmarks.peer import Peer
from benchmarks.servers import OURS
from tests.servers import ROOT, folder
from tests.wire import load_message

SECONDS, CLIENTS, SENDS = 6, 10, 100
STDLIB, PACKAGES = sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")
# Packages by their folders. A stack counts for the innermost frame that is in this list.
PARTS = {
    f"{ROOT}/a2a_app/store/": "this app: the store",
    f"{ROOT}/a2a_app/database/": "this app: the database package",
    f"{ROOT}/a2a_app/bindings/": "this app: the bindings",
    f"{ROOT}/a2a_app/runners/": "this app: the runners",
    f"{ROOT}/a2a_app/": "this app: the rest",
    f"{ROOT}/project/": "the agent",
    f"{PACKAGES}/psycopg/": "psycopg",
    f"{PACKAGES}/django/db/": "Django: the ORM",
    f"{PACKAGES}/django/": "Django: handler and middleware",
    f"{PACKAGES}/ninja/": "django-ninja",
    f"{PACKAGES}/pydantic/": "pydantic",
    f"{PACKAGES}/asgiref/": "asgiref: between coroutines and threads",
    f"{PACKAGES}/daphne/": "daphne",
    f"{PACKAGES}/twisted/": "Twisted, beneath daphne",
    f"{STDLIB}/asyncio/": "the event loop",
    f"{STDLIB}/concurrent/": "threads",
    f"{STDLIB}/threading.py": "threads",
}
DURATION = re.compile(r"duration: ([\d.]+) ms  (?:(parse|bind|execute) [^:]*|statement): (.+)")
TABLE = re.compile(r'(?:INTO|FROM|UPDATE) "?(\w+)"?')


async def _send(peer: Peer) -> None:
    await peer.send()


async def _stream(peer: Peer) -> None:
    await peer.ask("SendStreamingMessage", message=load_message(chunks=100))


WORK: dict[str, Callable[[Peer], Awaitable[None]]] = {"SendMessage": _send, "streams": _stream}


def measure() -> str:
    """Profile the server on PostgreSQL, and return the tables."""
    with ExitStack() as stack:
        peer = OURS.start(stack)
        shares = {name: asyncio.run(_sampled(peer, work)) for name, work in WORK.items()}
        statements = asyncio.run(_statements(peer))
    return f"{_shares_table(shares)}\n{_statements_table(statements)}"


async def _sampled(peer: Peer, work: Callable[[Peer], Awaitable[None]]) -> Counter[str]:
    """Sample the stacks of a server that works, and count them by package."""
    await asyncio.gather(*[work(peer) for _ in range(CLIENTS)])
    stacks = folder() / "stacks"
    py_spy, pid = Path(sys.executable).with_name("py-spy"), peer.processes[0].pid
    options = f"--pid {pid} --gil --full-filenames --rate 200 --duration {SECONDS} --format raw"
    command: tuple[str | Path, ...] = (py_spy, "record", *options.split(), "--output", stacks)
    spy = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    over = asyncio.Event()

    async def client() -> None:
        while not over.is_set():
            await work(peer)

    clients = asyncio.gather(*[client() for _ in range(CLIENTS)])
    said, _ = await spy.communicate()
    over.set()
    await clients
    assert spy.returncode == 0, said.decode()
    found: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        frames, _, samples = line.rpartition(" ")
        found[_part(frames)] += int(samples)
    return found


def _part(frames: str) -> str:
    for frame in reversed(frames.split(";")):
        for place, part in PARTS.items():
            if place in frame:
                return part
    return "the rest"


def _shares_table(shares: dict[str, Counter[str]]) -> str:
    lines = [
        f"| the server's time in Python | {' | '.join(shares)} |",
        f"| --- |{' ---: |' * len(shares)}",
    ]
    first = next(iter(shares.values()))
    parts = dict.fromkeys([*(part for part, _ in first.most_common()), *PARTS.values(), "the rest"])
    for part in parts:
        each = [found[part] / found.total() * 100 for found in shares.values()]
        if any(share >= 0.5 for share in each):
            lines.append(f"| {part} | {' | '.join(f'{share:.0f} %' for share in each)} |")
    return "\n".join([*lines, ""])


async def _statements(peer: Peer) -> dict[str, list[float]]:
    """Send messages while PostgreSQL logs. Return each statement's count and milliseconds."""
    await peer.send()
    with postgresql.logged(peer.database_url) as lines:
        for _ in range(SENDS):
            await peer.send()
        found: dict[str, list[float]] = {}
        for line in lines():
            if match := DURATION.search(line):
                milliseconds, step, statement = match.groups()
                spent = found.setdefault(_short(statement), [0, 0.0])
                # A prepared statement is logged in up to three steps.
                spent[0] += step not in ("parse", "bind")
                spent[1] += float(milliseconds)
    return found


def _short(statement: str) -> str:
    """Return a statement's verb and its table."""
    verb = statement.split(None, 1)[0].upper()
    named = TABLE.search(statement)
    return f"{verb} {named[1]}" if named else verb


def _statements_table(found: dict[str, list[float]]) -> str:
    lines = [
        "| statement | per SendMessage | ms in PostgreSQL |",
        "| --- | ---: | ---: |",
    ]
    for name, (count, milliseconds) in sorted(found.items(), key=lambda each: -each[1][1]):
        if count >= SENDS / 2:
            lines.append(f"| {name} | {count / SENDS:.1f} | {number(milliseconds / SENDS)} |")
    return "\n".join([*lines, ""])
