"""Real servers for the tests: PostgreSQL and Redis from wheels, daphne and uvicorn as processes."""

import asyncio
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import psycopg

from project import services
from tests import templates
from tests.folder import folder as folder  # for all that import it from here
from tests.forks import Fork, can_fork

ROOT = Path(__file__).resolve().parent.parent
# Only a bound: a cluster has nine processes to start, and the machine may have other work.
START_SECONDS = 90.0
END_SECONDS = 40.0
# Ports that are held at the same time: more than one process of the tests has servers.
HELD = 50

Database = Literal["sqlite", "postgresql"]
# As the reference project's CHANNEL_LAYER names them.
Layer = Literal["memory", "redis", "redis-core", "postgresql"]


_held: deque[socket.socket] = deque()


def free_port() -> int:
    """Find a port of loopback that nobody else is given, though no process listens there.

    Other processes of the tests look for ports at the same time. So it is held for those that ask
    next: until a server listens, while it is started again, and where no server shall be.
    """
    probe = socket.socket()
    # On Linux those who have it too may listen all the same.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port = int(probe.getsockname()[1])
    _held.append(probe)
    _let_go(HELD if sys.platform == "linux" else 0)
    return port


@atexit.register
def _let_go(most: int = 0) -> None:
    while len(_held) > most:
        _held.popleft().close()


@cache
def postgresql() -> Any:
    """Start PostgreSQL, once, and stop it when this process ends."""
    return _started(folder() / "pg")


def _started(place: Path) -> Any:
    templates.copy_cluster(place)
    return services.start_postgresql(place)


def postgresql_url(name: str = "postgres") -> str:
    """Return the DATABASE_URL of one of PostgreSQL's databases."""
    return services.postgresql_url(postgresql(), name)


@contextmanager
def own_postgresql() -> Iterator[tuple[Any, str]]:
    """Start a PostgreSQL that a test may stop; yield it and the DATABASE_URL of all tables."""
    server = _started(folder() / uuid4().hex[:8])
    try:
        yield server, services.postgresql_url(server)
    finally:
        server.cleanup()


def _on_postgresql(statement: str) -> None:
    with psycopg.connect(postgresql().get_uri(), autocommit=True) as connection:
        connection.execute(statement)


def managed(env: dict[str, str], *command: str) -> str:
    """Run a command of manage.py in a server's environment, and return what it printed."""
    return Process([sys.executable, "manage.py", *command], env).run()


def copy_sqlite(path: Path) -> None:
    """Make a file of SQLite's with all tables."""
    shutil.copy(templates.sqlite_template(), path)


def copy_on_postgresql(name: str) -> None:
    """Make a database on PostgreSQL with all tables."""
    _on_postgresql(f"CREATE DATABASE {name} TEMPLATE {templates.DATABASE}")


@contextmanager
def fresh_database(kind: Database) -> Iterator[str]:
    """Yield the DATABASE_URL of a new database with all tables, and drop it at the end."""
    name = f"a2a_{uuid4().hex[:12]}"
    if kind == "sqlite":
        path = folder() / f"{name}.sqlite3"
        copy_sqlite(path)
        yield f"sqlite:///{path}"
        return
    copy_on_postgresql(name)
    try:
        yield postgresql_url(name)
    finally:
        _on_postgresql(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def empty_database(kind: Database) -> Iterator[str]:
    """Yield the DATABASE_URL of a new database without any tables, and drop it at the end."""
    name = f"a2a_{uuid4().hex[:12]}"
    if kind == "sqlite":
        yield f"sqlite:///{folder() / name}.sqlite3"
        return
    _on_postgresql(f"CREATE DATABASE {name}")
    try:
        yield postgresql_url(name)
    finally:
        _on_postgresql(f"DROP DATABASE {name} WITH (FORCE)")


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Return another process's environment: with a database of its own, and our files."""
    ours = {"A2A_TEST_DATABASE": "", "A2A_TEST_FILES": str(folder() / "files")}
    return {**os.environ, **ours, **more}


class Process:
    """A server as a process of its own, on loopback, with its output kept."""

    # Whether it may be forked; one that is executed starts, and ends, as in production.
    forks = False

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        port: int = 0,
        *,
        ready: str = "",
        place: Path = ROOT,
    ) -> None:
        """Describe a process. It is ready when it listens, or when it has said `ready`."""
        self.command = command
        self.place = place
        self.env = _environment(env)
        self.port = port
        self.ready = ready
        self.log = folder() / f"{uuid4().hex}.log"
        self._process: subprocess.Popen[bytes] | Fork | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with; negative: the signal that ended it. None: it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it and return when it is ready."""
        before = len(self.output())
        self._process = self._begun(self.log)
        deadline = time.monotonic() + START_SECONDS
        while not (self.ready in self.output()[before:] if self.ready else self._listens()):
            try:
                self._process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
            # Or what it has started already would be nobody's.
            self.stop()
            raise RuntimeError(f"{' '.join(self.command)} did not start:\n{self.output()}")

    def run(self, seconds: float = 120.0) -> str:
        """Return what it printed once it has ended by itself; raise RuntimeError if it failed.

        Its errors and its log are in the RuntimeError only.
        """
        errors = self.log.with_suffix(".errors")
        self._process = self._begun(errors)
        try:
            self._process.wait(timeout=seconds)
        finally:
            self.kill()
        if self.exit_code != 0:
            said = self.output() + errors.read_text(errors="replace")
            raise RuntimeError(f"{' '.join(self.command)} failed:\n{said}")
        return self.output()

    def _begun(self, errors: Path) -> "subprocess.Popen[bytes] | Fork":
        if self.forks and can_fork(self.command, self.env):
            return Fork(self.command, self.place, self.env, self.log, errors)
        with self.log.open("ab") as log, errors.open("ab") as error_log:
            return subprocess.Popen(
                self.command, cwd=self.place, env=self.env, stdout=log, stderr=error_log
            )

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """End it at once, as a crash does, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait until it is gone."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=END_SECONDS)

    async def says(self, text: str, *, seconds: float = 30.0) -> None:
        """Wait until it has printed a text; raise TimeoutError if it does not."""
        async with asyncio.timeout(seconds):
            while text not in self.output():
                await asyncio.to_thread(self.look_again)

    async def ends(self, *, seconds: float = 60.0) -> int | None:
        """Wait until it has ended by itself, or as it was asked to, and return its exit code."""
        async with asyncio.timeout(seconds):
            while self.exit_code is None:
                with suppress(RuntimeError):  # it has ended
                    await asyncio.to_thread(self.look_again)
        return self.exit_code

    def look_again(self) -> None:
        """Wait for a moment in which it may say something; raise RuntimeError if it ends."""
        # A process does not tell that it has written to a file.
        try:
            assert self._process is not None
            self._process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            return
        raise RuntimeError(f"The server has ended:\n{self.output()}")

    def output(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def web_server(
    server: Literal["daphne", "uvicorn"],
    *,
    database_url: str,
    layer: Layer = "memory",
    settings_module: str = "tests.settings",
    **a2a: Any,
) -> Process:
    """Make, and do not start, a server of the reference project with these A2A settings."""
    port = free_port()
    commands = {
        # As many connections may wait as with uvicorn: see docs/deployment.md.
        "daphne": ["daphne", "-e", f"tcp:port={port}:interface=127.0.0.1:backlog=2048"],
        "uvicorn": ["uvicorn", "--host", "127.0.0.1", "--port", str(port)],
    }
    env = {
        "DATABASE_URL": database_url,
        **layer_environment(layer),
        "DJANGO_SETTINGS_MODULE": settings_module,
        "A2A_SETTINGS": json.dumps(a2a),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", *commands[server], "project.asgi:application"]
    return Process(command, env, port)


def layer_environment(layer: Layer) -> dict[str, str]:
    """Return the environment that selects a channel layer, and start Redis if it needs it."""
    on_redis = layer.startswith("redis")
    return {"CHANNEL_LAYER": layer, "REDIS_URL": redis_url() if on_redis else ""}


def new_redis() -> Process:
    """Make, and do not start, a Redis that forgets all when it ends."""
    port = free_port()
    return Process(services.redis_command(port, folder()), {}, port)


@cache
def redis() -> Process:
    """Start Redis, once, and stop it when this process ends."""
    process = new_redis()
    process.start()
    atexit.register(process.kill)
    return process


def redis_url() -> str:
    """Return the URL of Redis."""
    return f"redis://127.0.0.1:{redis().port}/0"


def grpc_server(web: Process) -> Process:
    """Make, and do not start, a server of gRPC where the settings of one of HTTP say that it is."""
    a2a = json.loads(web.env["A2A_SETTINGS"])
    env = {**web.env, "A2A_SETTINGS": json.dumps({"PUBLIC_URL": web.url, **a2a})}
    port = int(a2a["GRPC_URL"].rpartition(":")[2])
    return Process([sys.executable, "manage.py", "a2a_grpc", "--port", str(port)], env, port)


@contextmanager
def served(
    database: Database, server: Literal["daphne", "uvicorn"], *, grpc: bool = False
) -> Iterator[Process]:
    """Run a server on a fresh database, with one of gRPC beside it if need be."""
    where: dict[str, Any] = {"GRPC_URL": f"127.0.0.1:{free_port()}"} if grpc else {}
    with fresh_database(database) as url, ExitStack() as stack:
        process = web_server(server, database_url=url, **where)
        for each in (process, grpc_server(process)) if grpc else (process,):
            stack.callback(each.kill)
            each.start()
        yield process
