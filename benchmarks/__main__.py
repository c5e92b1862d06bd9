"""Measure this app beside other A2A servers.

    python -m benchmarks [--quick] [--rounds 9] [--tasks 100000] [--only requests …]
        [--servers SDK …] [--write]

`--write` puts each section into docs/laboratory.md as soon as it is measured, and makes the table
and the plots of docs/performance.md of it.
"""

import argparse

from benchmarks import cores, expectations, pages, postgresql
from benchmarks.sections import NAMES, Plan
from benchmarks.servers import ALL, FLOORS, OURS_WORKERS, SOME
from tests.servers import redis

ROUNDS, TASKS = 9, 100_000
QUICK_ROUNDS, QUICK_TASKS = 1, 10_000


def parse_arguments() -> tuple[Plan, bool]:
    """Read the command line. Return what to measure, and whether to write it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one round, fewer tasks and servers")
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}; with --quick {QUICK_ROUNDS}")
    parser.add_argument("--tasks", type=int, help=f"in each server: {TASKS}, or {QUICK_TASKS}")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these sections")
    parser.add_argument(
        "--servers", nargs="+", default=[""], help="servers whose name has one of these"
    )
    parser.add_argument("--write", action="store_true", help="write the pages")
    given = parser.parse_args()
    candidates = (*SOME, OURS_WORKERS, *FLOORS) if given.quick else ALL
    servers = [each for each in candidates if any(part in each.name for part in given.servers)]
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    tasks = given.tasks or (QUICK_TASKS if given.quick else TASKS)
    return Plan(given.only, servers, rounds, tasks), given.write


def main() -> None:
    """Measure and print, and write the pages if asked to."""
    plan, write = parse_arguments()
    cores.take_the_load_core()
    # These start before the servers do, so they share the core of the load.
    redis()
    postgresql.make_ready()
    for name, text in plan.sections():
        print(f"## {name}\n\n{text}", flush=True)
        if write:
            pages.write(pages.BOOK, name, text)
            expectations.write()


if __name__ == "__main__":
    main()
