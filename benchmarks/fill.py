"""Fill: put as many tasks into a server within seconds as it would have after years.

A hundred tasks are sent. The others are copies of their rows. The database makes the copies, or
the server does in its memory.
"""

import asyncio
import sqlite3
from hashlib import md5
from typing import Any

import psycopg

from benchmarks.peer import Peer, Product

SEED = 100
MEGABYTE = 1_000_000
# The tables in which a task has rows, and the columns whose values must differ in each copy.
TABLES: dict[Product, dict[str, set[str]]] = {
    "a2a_app": {
        "a2a_app_context": {"id", "context_id"},
        "a2a_app_task": {"id", "context_id", "status_message_id", "run_id"},
        "a2a_app_message": {"id", "context_id", "task_id"},
        "a2a_app_artifact": {"id", "task_id"},
        "a2a_app_event": {"task_id"},
        "a2a_app_run": {"id", "task_id", "message_id"},
        "a2a_app_pushnotificationconfig": {"id", "task_id"},
        "a2a_app_tokenusage": {"id", "task_id"},
        "a2a_app_file": {"id", "context_id", "task_id"},
        "a2a_app_storedbytes": {"id", "owner"},
        "a2a_app_idempotencykey": {"id", "task_id", "message_id", "key"},
    },
    "SDK": {"tasks": {"id"}},
}
# A copy's status is older than that of the copy before: not two of a site's tasks have one time.
EARLIER = {
    "postgresql": "\"status_at\" - n * interval '1 second'",
    "sqlite": "datetime(\"status_at\", '-' || n || ' seconds')",
}
COPIED = """
CREATE OR REPLACE FUNCTION copied(anyelement, int) RETURNS uuid IMMUTABLE STRICT LANGUAGE sql
AS 'SELECT md5($1::text || $2)::uuid'
"""


async def fill(peer: Peer, tasks: int) -> None:
    """Fill a server with so many tasks, then add a small one and a large one.

    FastA2A gets only these two, and the floor gets none.
    """
    if peer.product == "the floor":
        return
    if tasks and peer.product != "FastA2A":
        await asyncio.gather(*[peer.send() for _ in range(min(tasks, SEED))])
        await copy(peer, tasks // SEED - 1)
    peer.small, peer.large = [await _task(peer, size) for size in (32, MEGABYTE)]


async def _task(peer: Peer, size: int) -> str:
    made = await peer.begin(size=size)
    await peer.ended(made)
    return made


async def copy(peer: Peer, times: int) -> None:
    """Copy all tasks of a server so many times."""
    if times < 1:
        return
    if not peer.database_url:
        await peer.ask("Copy", path=f"/copy?times={times}", expect=b"200 OK")
    elif peer.database_url.startswith("sqlite"):
        _in_sqlite(peer, times)
    else:
        _in_postgresql(peer, times)


def _in_sqlite(peer: Peer, times: int) -> None:
    connection = sqlite3.connect(peer.database_url.removeprefix("sqlite:///"), timeout=20)
    # These are a million rows, with keys in no order: work in memory, and do not wait for the disk.
    connection.execute("PRAGMA cache_size = -1000000")
    connection.execute("PRAGMA synchronous = OFF")
    connection.create_function("copied", 2, _copied, deterministic=True)
    with connection:
        for table, own in TABLES[peer.product].items():
            columns = [each[0] for each in _described(connection, table)]
            connection.execute(_statement(table, columns, own, EARLIER["sqlite"]), (times,))
    connection.execute("ANALYZE")
    connection.close()


def _copied(key: str | None, number: int) -> str | None:
    return (
        None if key is None else md5(f"{key}{number}".encode(), usedforsecurity=False).hexdigest()
    )


def _in_postgresql(peer: Peer, times: int) -> None:
    with psycopg.connect(peer.database_url, autocommit=True) as connection:
        connection.execute(COPIED)
        # Foreign keys hold, as what the copies refer to is copied too. Checking takes too long.
        connection.execute("SET session_replication_role = replica")
        for table, own in TABLES[peer.product].items():
            columns = [each[0] for each in _described(connection, table)]
            statement = _statement(table, columns, own, EARLIER["postgresql"]).replace("?", "%s")
            connection.execute(statement, (times,))
        # Otherwise autovacuum would do so a minute later, on the core of the load.
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _described(connection: Any, table: str) -> Any:
    return connection.execute(f"SELECT * FROM {table} LIMIT 0").description


def _statement(table: str, columns: list[str], own: set[str], earlier: str) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    changed = {"status_at": earlier, **{column: f'copied("{column}", n)' for column in own}}
    values = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    return (
        "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < ?) "
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, copies"
    )
