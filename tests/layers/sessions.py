"""The connections to a database: counted, ended, kept away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.servers import postgresql_url

SECONDS = 20
# Without what PostgreSQL does there by itself, such as its vacuum.
OF_CLIENTS = "FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
COUNT = f"SELECT count(*), pg_sleep(0.01) {OF_CLIENTS}"
END = f"SELECT pg_terminate_backend(pid, 5000) {OF_CLIENTS}"


def settle(database_url: str, count: int) -> None:
    """Wait until a database has so many connections: closing one takes a moment."""
    deadline = time.monotonic() + SECONDS
    with psycopg.connect(postgresql_url(), autocommit=True) as connection:
        while True:
            row = connection.execute(COUNT, [_name(database_url)]).fetchone()
            assert row is not None
            if row[0] == count:
                return
            assert time.monotonic() < deadline, f"{row[0]} connections, not {count}"


def cut_off(database_url: str) -> int:
    """End all connections to a database, as its restart does, and return their number."""
    with psycopg.connect(postgresql_url()) as connection:
        return len(connection.execute(END, [_name(database_url)]).fetchall())


@contextmanager
def away(database_url: str) -> Iterator[None]:
    """End the connections of a database, and let it take no others."""
    allow = f"ALTER DATABASE {_name(database_url)} ALLOW_CONNECTIONS"
    with psycopg.connect(postgresql_url(), autocommit=True) as connection:
        connection.execute(f"{allow} false".encode())
        cut_off(database_url)
        try:
            yield
        finally:
            connection.execute(f"{allow} true".encode())


def _name(database_url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(database_url)["dbname"])
