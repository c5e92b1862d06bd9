"""PostgreSQL: the server of the tests, made to wait for its disk, and facts about it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.servers import postgresql

COMMITS, CONNECTIONS = 500, 500


def _set(*statements: str) -> None:
    with psycopg.connect(postgresql().get_uri(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(f"ALTER SYSTEM {statement}".encode())
        connection.execute("SELECT pg_reload_conf()")


def make_ready() -> None:
    """Make it wait for its disk and allow the connections of all servers. Tests need neither."""
    _set("SET fsync = on", f"SET max_connections = {CONNECTIONS}")
    server = postgresql()
    server.stop()
    server.ensure_postgres_running()


def prepare_for_filling() -> None:
    """Make it write what fills a table once, and not again after each of many checkpoints."""
    _set("SET fsync = off", "SET max_wal_size = '16GB'", "SET checkpoint_timeout = '1h'")


def wait_for_disk() -> None:
    """Make it wait for its disk, once its tables are filled."""
    _set("SET fsync = on", "RESET max_wal_size", "RESET checkpoint_timeout")


def commits() -> float:
    """Return how many transactions of one inserted row one connection commits per second."""
    with psycopg.connect(postgresql().get_uri(), autocommit=True) as connection:
        connection.execute("CREATE TABLE a_row (text text)")
        begun = time.perf_counter()
        for _ in range(COMMITS):
            connection.execute("INSERT INTO a_row VALUES ('x')")
        seconds = time.perf_counter() - begun
        connection.execute("DROP TABLE a_row")
    return COMMITS / seconds


def version() -> str:
    """Return its version."""
    with psycopg.connect(postgresql().get_uri()) as connection:
        return str(connection.info.parameter_status("server_version"))


@contextmanager
def logged(database_url: str) -> Iterator[Callable[[], list[str]]]:
    """Make it log how long each statement takes. Yield a function that returns the lines."""
    log, name = Path(postgresql().log), database_url.rpartition("/")[2]
    _set("SET log_min_duration_statement = 0", "SET log_line_prefix = '%d '")
    begin = log.stat().st_size

    def lines() -> list[str]:
        with log.open(errors="replace") as file:
            file.seek(begin)
            return [line for line in file if line.startswith(f"{name} ")]

    try:
        yield lines
    finally:
        _set("RESET log_min_duration_statement", "RESET log_line_prefix")
