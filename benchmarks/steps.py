"""Measure durable turns: what kills leave of them, what a step costs, and turns that sleep.

    python -m benchmarks.steps [SECTION …] [--dbos FOLDER]

It starts its own servers, workers, PostgreSQL and Redis. With `--dbos`, the folder in which
`pip install --target FOLDER dbos` has installed DBOS's library, that is measured too.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote

from benchmarks.asking import asking
from benchmarks.asleep import asleep
from benchmarks.crawl import crawl_with_dbos, crawl_with_us
from benchmarks.kills import kills
from tests.servers import ROOT, fresh_database

SECTIONS = ("kills", "cost", "recovery", "asleep", "rounds", "asking")


def for_sqlalchemy(url: str) -> str:
    """Return the URL of a database on a socket as SQLAlchemy takes it."""
    place, _, name = url.partition("@")[2].rpartition("/")
    return f"postgresql://postgres@/{name}?host={unquote(place)}"


def cost(folder: Path | None) -> None:
    """Print what steps cost, here and with DBOS, and a turn without any."""
    with fresh_database("postgresql") as url:
        env = {**os.environ, "DATABASE_URL": url}
        _run("benchmarks.step_cost", env)
        if folder is not None:
            env |= {"DBOS_URL": for_sqlalchemy(url), "PYTHONPATH": str(folder)}
            _run("benchmarks.dbos_steps", env)


def rounds() -> None:
    """Print what it takes to awake after many rounds of a step and a sleep."""
    with fresh_database("postgresql") as url:
        _run("benchmarks.rounds", {**os.environ, "DATABASE_URL": url})


def _run(module: str, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    for name, value in json.loads(done.stdout).items():
        print(f"{module}: {name}: {value:,.4g}", flush=True)


def recovery(folder: Path | None) -> None:
    """Print how long after a kill the next step is done, where the process is started again."""
    for lease in (15.0, 3.0):
        seconds = asyncio.run(crawl_with_us(lease))
        print(f"LEASE_SECONDS {lease:g}: {seconds:.1f} s", flush=True)
    if folder is not None:
        with fresh_database("postgresql") as url:
            print(f"DBOS: {crawl_with_dbos(for_sqlalchemy(url), folder):.1f} s", flush=True)


def main() -> None:
    """Measure what the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--dbos", type=Path)
    parser.add_argument("--seconds", type=float, default=90.0, help="how long processes are killed")
    parser.add_argument("--turns", type=int, default=10_000, help="how many turns sleep")
    given = parser.parse_args()
    with ExitStack() as stack:
        for section in given.sections:
            print(f"\n{section}", flush=True)
            match section:
                case "kills":
                    asyncio.run(kills(stack, given.seconds))
                case "cost":
                    cost(given.dbos)
                case "recovery":
                    recovery(given.dbos)
                case "asleep":
                    asyncio.run(asleep(stack, given.turns))
                case "asking":
                    asyncio.run(asking(stack))
                case "rounds":
                    rounds()


if __name__ == "__main__":
    main()
