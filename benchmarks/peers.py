"""The same work given to this app and to the official SDK with each of its stores.

    python -m benchmarks.peers [--rounds 9] [--tasks 10000] [--write]

The servers take turns, each on the first core, with the load on another. PostgreSQL commits to its
disk. `--write` puts the table into docs/performance.md.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from statistics import median, quantiles

import psutil
import psycopg

from benchmarks.work import WORK, Figure, Peer, measured, nothing
from tests.servers import ROOT, Process, free_port, fresh_database, postgresql, web_server

ROUNDS, TASKS = 9, 10_000
ROUND_SECONDS = 300.0
COMMITS = 500
PAGE = ROOT / "docs" / "performance.md"
# To which of the servers the others are compared.
MEASURES = ("SDK, in memory", "SDK, PostgreSQL")
BEGIN, END = "<!-- measured: benchmarks/peers.py -->", "<!-- end -->"


def sdk_server(database_url: str = "", *, alone: bool = True) -> Process:
    """Make, and do not start, a server of the SDK, alone or in its cluster mode."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    env = {"SDK_DATABASE_URL": database_url, "SDK_ALONE": "1" if alone else ""}
    return Process([*command, "benchmarks.sdk_server:application"], env, port)


def sdk_url(url: str) -> str:
    """Give the URL of a database as SQLAlchemy's asynchronous drivers take it."""
    if url.startswith("sqlite"):
        return url.replace("sqlite://", "sqlite+aiosqlite://", 1)
    place, _, name = url.partition("@")[2].rpartition("/")
    folder = psycopg.conninfo.conninfo_to_dict(url).get("host", place)
    return f"postgresql+asyncpg://postgres@/{name}?host={folder}"


def peers(stack: ExitStack) -> list[Peer]:
    """Start all servers, the SDK's first and the floor last."""
    found = [Peer("SDK, in memory", sdk_server(), "/")]
    for title, database in (("SQLite", "sqlite"), ("PostgreSQL", "postgresql")):
        url = stack.enter_context(fresh_database(database))  # type: ignore[arg-type]  # one of them
        found.append(Peer(f"SDK, {title}", sdk_server(sdk_url(url)), "/"))
    for kind, title, database in (
        ("uvicorn", "SQLite", "sqlite"),
        ("uvicorn", "PostgreSQL", "postgresql"),
        ("daphne", "PostgreSQL", "postgresql"),
    ):
        url = stack.enter_context(fresh_database(database))  # type: ignore[arg-type]  # as above
        server = web_server(kind, database_url=url)  # type: ignore[arg-type]  # one of them
        found.append(Peer(f"a2a_app, {title}, {kind}", server, "/a2a/load/"))
    for kind in ("uvicorn", "daphne"):
        url = stack.enter_context(fresh_database("sqlite"))
        server = web_server(kind, database_url=url, settings_module="benchmarks.floor_settings")  # type: ignore[arg-type]  # one of them
        found.append(Peer(f"the floor, {kind}", server, "/"))
    for peer in found:
        if "uvicorn" in peer.process.command:
            peer.process.command += ["--log-level", "warning"]
        stack.callback(peer.process.kill)
        peer.process.start()
    return found


def spread_over_cores(found: list[Peer]) -> None:
    """Give all servers, which work in turn, one core, and the load another."""
    cores = psutil.Process().cpu_affinity() or [0]
    psutil.Process().cpu_affinity(cores[1:2] or cores)
    for peer in found:
        psutil.Process(peer.process.pid).cpu_affinity(cores[:1])


async def measure(
    found: list[Peer], work: Callable[[Peer], Awaitable[int]], rounds: int
) -> dict[str, list[Figure]]:
    """Let the servers do the work in turn, after one round that does not count."""
    figures: dict[str, list[Figure]] = {peer.name: [] for peer in found}
    for number in range(rounds + 1):
        for peer in found:
            async with asyncio.timeout(ROUND_SECONDS):
                figure = await measured(work, peer)
            if number:
                figures[peer.name].append(figure)
    return figures


def table(title: str, figures: dict[str, list[Figure]]) -> str:
    """Make the table of one work, with ratios to the SDK in memory and to that on PostgreSQL."""
    lines = [
        f"### {title}",
        "",
        "| server | a second | middle half | CPU ms | to SDK, in memory | to SDK, PostgreSQL |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, each in figures.items():
        low, middle, high = quantiles([one.rate for one in each], n=4, method="inclusive")
        ratios = " | ".join(_ratio(middle, figures.get(other, [])) for other in MEASURES)
        cpu = median(one.cpu for one in each)
        lines.append(f"| {name} | {middle:,.0f} | {low:,.0f}-{high:,.0f} | {cpu:.2f} | {ratios} |")
    return "\n".join([*lines, ""])


def _ratio(rate: float, others: list[Figure]) -> str:
    return f"{rate / median(one.rate for one in others):.2f}" if others else ""


def durable() -> None:
    """Have PostgreSQL wait for its disk, which the tests do not need."""
    with psycopg.connect(postgresql().get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = on")
        connection.execute("SELECT pg_reload_conf()")


def commits() -> float:
    """Give the transactions a second of one connection that inserts one row in each."""
    with psycopg.connect(postgresql().get_uri(), autocommit=True) as connection:
        connection.execute("CREATE TABLE a_row (text text)")
        begun = time.perf_counter()
        for _ in range(COMMITS):
            connection.execute("INSERT INTO a_row VALUES ('x')")
        seconds = time.perf_counter() - begun
        connection.execute("DROP TABLE a_row")
    return COMMITS / seconds


def report(rounds: int, tasks: int) -> str:
    """Measure everything; gives the tables."""
    durable()
    with ExitStack() as stack:
        found = peers(stack)
        spread_over_cores(found)
        filled = [peer for peer in found if not peer.name.startswith("the floor")]
        for peer in filled:
            asyncio.run(peer.fill(tasks))
        parts = [f"{rounds} rounds, {tasks:,} tasks in each server.\n"]
        for title, work in WORK.items():
            parts.append(table(title, asyncio.run(measure(filled, work, rounds))))
            print(parts[-1], flush=True)
        floors = [peer for peer in found if peer not in filled]
        parts.append(
            table("a view that does nothing", asyncio.run(measure(floors, nothing, rounds)))
        )
        parts.append(f"One connection to PostgreSQL commits {commits():,.0f} rows a second.\n")
    return "\n".join(parts)


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    found = report(asked.rounds, asked.tasks)
    print(found)
    if asked.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n{END}{after}")


if __name__ == "__main__":
    main()
