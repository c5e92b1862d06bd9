"""Measure how many tasks a second are deleted from PostgreSQL, and how long rows are locked.

    python -m benchmarks.prune [tasks] [connections …] [--alone]

It compares `a2a_prune` with Django's own deletion of a hundred tasks at a time, and with one plain
DELETE a table, which locks all rows until its end. With `--alone` there is nothing to compare with,
since Django takes most of an hour for a million tasks.
"""

import argparse
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import django
import psycopg

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.core.management import call_command  # noqa: E402  # Django must be set up first
from django.db import connection, connections  # noqa: E402  # as above

from a2a_app import models  # noqa: E402  # as above
from a2a_app.protocol import TaskState  # noqa: E402  # as above
from a2a_app.store.updates import Returned  # noqa: E402  # as above
from a2a_app.store.writes.append import append  # noqa: E402  # as above
from benchmarks.fill import SEED, TABLES  # noqa: E402  # as above
from tests.servers import fresh_database  # noqa: E402  # as above
from tests.tasks import begin_and_claim, chunk, status  # noqa: E402  # as above

DJANGO_BATCH = 100
SAMPLE_SECONDS = 0.01
LONG_AGO = "2020-01-01T00:00:00Z"
# A copy's key begins with a time, as ours do: rows of one age lie together.
COPIED = """
CREATE OR REPLACE FUNCTION copied(key text, n int) RETURNS uuid IMMUTABLE STRICT LANGUAGE sql AS
$$ SELECT (lpad(to_hex(1600000000000 + n), 12, '0') || substr(md5(key || n), 13))::uuid $$
"""
# How long the oldest transaction has lasted that holds locks, without that of an autovacuum, which
# gives way to whoever waits for it.
OLDEST = """
SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL
AND backend_type = 'client backend'
"""


def _connect() -> "psycopg.Connection[Any]":
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


# What a table's rows can do without while they are copied, and what makes it again.
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = %s AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)
"""


def fill(tasks: int) -> None:
    """Make tasks that ended long ago: a hundred by the app, and copies of their rows."""
    for _ in range(SEED):
        claim = begin_and_claim()
        head = append(claim.head, [status(TaskState.WORKING)], run=claim.run).head
        artifact = chunk("done", append=False, last=True)
        append(head, [artifact, status(TaskState.COMPLETED, "so"), Returned()], run=claim.run)
    models.Task.objects.update(status_at=LONG_AGO)
    models.Context.objects.update(created_at=LONG_AGO)
    models.Message.objects.update(created_at=LONG_AGO)
    with _connect() as plain:
        plain.execute(COPIED)
        # As in `fill.py`: what the copies refer to is copied too.
        plain.execute("SET session_replication_role = replica")
        for table, own in TABLES["a2a_app"].items():
            indexes = plain.execute(INDEXES, [table]).fetchall()
            for name, _ in indexes:
                plain.execute(f"DROP INDEX {name}")
            described = plain.execute(f"SELECT * FROM {table} LIMIT 0").description or ()
            names = [f'"{column.name}"' for column in described]
            values = [f"copied({n}::text, n)" if n.strip('"') in own else n for n in names]
            plain.execute(
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "
                f"FROM generate_series(2, {tasks // SEED}) n, {table}"
            )
            for _, made_by in indexes:
                plain.execute(made_by)
        plain.execute("VACUUM ANALYZE")
        plain.execute("CHECKPOINT")


def delete_plainly() -> None:
    """Delete all tables' rows in one transaction."""
    with _connect() as plain, plain.transaction():
        for table in reversed(TABLES["a2a_app"]):
            plain.execute(f"DELETE FROM {table}")


def delete_by_django() -> None:
    """Delete tasks and conversations by Django's querysets, a hundred at a time."""
    for model in (models.Task, models.Context):
        rows = model._default_manager.order_by("pk").values_list("pk", flat=True)
        while keys := list(rows[:DJANGO_BATCH]):
            model._default_manager.filter(pk__in=keys).delete()


def _elsewhere() -> "psycopg.Connection[Any]":
    """Connect to a database that is neither copied nor dropped."""
    connections.close_all()
    return psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True)


def copy(source: str, target: str) -> None:
    """Make a database a copy of another one."""
    with _elsewhere() as other:
        other.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        # Its files are copied: the other way writes each page into the journal.
        other.execute(f"CREATE DATABASE {target} TEMPLATE {source} STRATEGY file_copy")
        other.execute("CHECKPOINT")


def measure(tasks: int, delete: Callable[[], Any]) -> tuple[float, float]:
    """Delete so many tasks; return how many a second, and the milliseconds of the longest lock."""
    longest, ended = [0.0], threading.Event()

    def sample() -> None:
        with _connect() as plain:
            while not ended.wait(SAMPLE_SECONDS):
                [oldest] = plain.execute(OLDEST).fetchone() or [None]
                longest[0] = max(longest[0], float(oldest or 0))

    sampler = threading.Thread(target=sample)
    sampler.start()
    begun = time.perf_counter()
    delete()
    seconds = time.perf_counter() - begun
    ended.set()
    sampler.join()
    assert not models.Task.objects.exists()
    return tasks / seconds, longest[0] * 1000


def prune(connections: int) -> Callable[[], Any]:
    """Return the deletion by the command, over so many connections."""
    options = ["--days", "1", "--connections", str(connections)]
    return lambda: call_command("a2a_prune", *options, stdout=io.StringIO())


def main(tasks: int, numbers: list[int], *, alone: bool) -> None:
    """Measure each way to delete, and print a table."""
    database = str(connection.settings_dict["NAME"])
    filled = f"{database}_filled"
    others: dict[str, Callable[[], Any]] = {
        "one plain `DELETE` a table": delete_plainly,
        "Django, a hundred at a time": delete_by_django,
    }
    ours = {f"`a2a_prune --connections {each}`": prune(each) for each in numbers}
    ways = ours if alone else {**others, **ours}
    print("| | tasks a second | longest lock |\n| --- | ---: | ---: |")
    fill(tasks)
    copy(database, filled)
    for name, delete in ways.items():
        copy(filled, database)
        rate, longest = measure(tasks, delete)
        print(f"| {name} | {rate:,.0f} | {longest:,.0f} ms |", flush=True)
    with _elsewhere() as other:
        other.execute(f"DROP DATABASE {filled}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prune")
    parser.add_argument("tasks", type=int, nargs="?", default=100_000)
    parser.add_argument("connections", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--alone", action="store_true", help="only a2a_prune")
    return parser.parse_args()


if __name__ == "__main__":
    given = parse_arguments()
    if os.environ.get("DATABASE_URL"):
        main(given.tasks, given.connections, alone=given.alone)
    else:
        # Django takes its database from the environment of a new process.
        with fresh_database("postgresql") as url:
            command = [sys.executable, "-m", "benchmarks.prune", *sys.argv[1:]]
            subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=True)
