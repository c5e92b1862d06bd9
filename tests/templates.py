"""Databases with all tables, made once for all processes of a test run, which copy them."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from project import services
from tests.folder import folder

ROOT = Path(__file__).resolve().parent.parent
# The database with all tables in each cluster, which PostgreSQL itself copies. The database
# "postgres" has them too.
DATABASE = "template_a2a"


def sqlite_template() -> Path:
    """Return a file of SQLite's that has all tables, to be copied."""
    return _made_once("template.sqlite3", lambda place: migrate(f"sqlite:///{place}"))


def copy_cluster(place: Path) -> None:
    """Put the files of a PostgreSQL with the template in its databases into a new folder."""
    made = _made_once("cluster", _make_cluster)
    # With their owner, who is not root, and as links would not be.
    subprocess.run(["cp", "-a", made, place], check=True)


def _make_cluster(place: Path) -> None:
    server = services.start_postgresql(place, keep=True)
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        migrate(services.postgresql_url(server, DATABASE))
        # Where nobody is connected, which is why it is not the database to be copied itself.
        with psycopg.connect(server.get_uri("template1"), autocommit=True) as connection:
            connection.execute("DROP DATABASE postgres")
            connection.execute(f"CREATE DATABASE postgres TEMPLATE {DATABASE}")
    finally:
        server.cleanup()


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return what the first process of the run has made; the others wait for it."""
    # The first process is the one that starts the others, and the last that ends.
    run = Path(os.environ.setdefault("A2A_TEST_RUN", str(folder())))
    place = run / name
    with (run / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            partial = run / f"{name}.new"
            make(partial)
            partial.rename(place)
    return place


def migrate(url: str) -> None:
    """Make all tables in a database, by a process of its own."""
    given = {"A2A_TEST_DATABASE": "", "DATABASE_URL": url}
    env = {**os.environ, **given, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"]
    subprocess.run(command, cwd=ROOT, env=env, check=True)
