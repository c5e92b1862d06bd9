"""Measure this app beside other A2A servers.

    python -m benchmarks [--quick] [--rounds 9] [--tasks 100000] [--only requests …]
        [--servers SDK …] [--write]

`--write` puts each section into docs/performance.md as soon as it is measured.
"""

import argparse

from benchmarks import cores, page, postgresql
from benchmarks.sections import NAMES, Plan
from benchmarks.servers import ALL, FLOORS, OURS_WORKERS, SOME
from tests.servers import redis

ROUNDS, TASKS = 9, 100_000
QUICK_ROUNDS, QUICK_TASKS = 1, 10_000


def asked() -> tuple[Plan, bool]:
    """Read the command line; gives what to measure, and whether to write it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one round, fewer tasks and servers")
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}; with --quick {QUICK_ROUNDS}")
    parser.add_argument("--tasks", type=int, help=f"in each server: {TASKS}, or {QUICK_TASKS}")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these sections")
    parser.add_argument("--servers", nargs="+", default=[""], help="whose name has one of these")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    given = parser.parse_args()
    candidates = (*SOME, OURS_WORKERS, *FLOORS) if given.quick else ALL
    servers = [each for each in candidates if any(part in each.name for part in given.servers)]
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    tasks = given.tasks or (QUICK_TASKS if given.quick else TASKS)
    folder = page.PLOTS if given.write else None
    return Plan(given.only, servers, rounds, tasks, folder), given.write


def main() -> None:
    """Measure, print, and write if asked to."""
    plan, write = asked()
    cores.take_the_load_core()
    # What is started before the servers shares the core of the load: theirs is theirs alone.
    redis()
    postgresql.make_ready()
    for name, text in plan.sections():
        print(f"## {name}\n\n{text}", flush=True)
        if write:
            page.write(name, text)


if __name__ == "__main__":
    main()
