"""Servers: the servers that are compared, each with a load agent that does the same work."""

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from benchmarks import cores
from benchmarks.peer import Peer, Product
from tests.cluster import WORKERS
from tests.servers import Database, Process, free_port, fresh_database, web_server

Store = Literal["memory", "SQLite", "PostgreSQL"]
DATABASES: dict[Store, Database] = {"SQLite": "sqlite", "PostgreSQL": "postgresql"}
# Neither daphne nor uvicorn writes a line for each request.
QUIET = {"daphne": ["--verbosity", "0"], "uvicorn": ["--log-level", "warning"]}


@dataclass(frozen=True)
class Server:
    """One of the servers: a product, where it stores its tasks, and what speaks HTTP."""

    product: Product
    store: Store
    http: Literal["daphne", "uvicorn"] = "uvicorn"
    cluster: bool = False
    """The SDK: its cluster mode. This app: with Redis and a worker, on the same core."""

    @property
    def name(self) -> str:
        """Its name in the tables."""
        if self.product == "the floor":
            return f"the floor, {self.store}, {self.http}"
        if self.product != "a2a_app":
            return f"{self.product}, {'cluster, ' * self.cluster}{self._place}"
        return f"a2a_app, {self.store}, {self.http}{', workers' * self.cluster}"

    @property
    def _place(self) -> str:
        return "in memory" if self.store == "memory" else self.store

    def start(
        self,
        stack: ExitStack,
        *,
        fronts: int = 1,
        workers: int = 1,
        push: bool = False,
        **a2a: Any,
    ) -> Peer:
        """Start its processes on a database of its own, and return them as a peer.

        Args:
            stack: Ends all that is started.
            fronts: How many processes are to speak HTTP, on the same database.
            workers: How many workers there are, if it has any.
            push: Whether it sends to webhooks on this machine.
            a2a: Settings of this app.
        """
        database = DATABASES.get(self.store)
        url = stack.enter_context(fresh_database(database)) if database else ""
        if self.product == "a2a_app":
            loopback = {"PUSH_HOSTS": ["127.0.0.1"], "PUSH_ALLOW_HTTP": True} if push else {}
            # All streams are one caller's.
            a2a = {"STREAMS_PER_OWNER": 0, **loopback, **a2a}
            processes = self._a2a_app(url, fronts, workers, a2a)
        elif self.product == "the floor":
            bare = "benchmarks.floors.without_middleware"
            processes = [web_server(self.http, database_url=url, settings_module=bare)]
            processes[0].command += QUIET[self.http]
        else:
            processes = [self._other(url, push=push) for _ in range(fronts)]
        begun = time.perf_counter()
        with cores.of_servers():
            for process in processes:
                stack.callback(process.kill)
                process.start()
        seconds = time.perf_counter() - begun
        return Peer(self.product, url, tuple(processes), started=seconds)

    def _a2a_app(self, url: str, fronts: int, workers: int, a2a: dict[str, Any]) -> list[Process]:
        layer = "redis" if self.cluster or fronts > 1 else "memory"
        web = [web_server(self.http, database_url=url, layer=layer, **a2a) for _ in range(fronts)]  # type: ignore[arg-type]  # one of them
        for each in web:
            each.command += QUIET[self.http]
        if not self.cluster:
            return web
        command, ready = WORKERS["procrastinate"]
        for each in web:
            each.env["A2A_RUNNER"] = "procrastinate"
        worker = [sys.executable, *command]
        return [*web, *(Process(worker, web[0].env, ready=ready) for _ in range(workers))]

    def _other(self, url: str, *, push: bool) -> Process:
        env = {
            "SDK_DATABASE_URL": _sqlalchemy_url(url),
            "SDK_CLUSTER": "1" if self.cluster else "",
            "SDK_PUSH": "1" if push else "",
        }
        return uvicorn(f"benchmarks.{self.product.lower()}_server:application", env)


def uvicorn(application: str, env: dict[str, str]) -> Process:
    """Return a uvicorn that is not started yet."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), *QUIET["uvicorn"]]
    return Process([*command, application], env, port)


def _sqlalchemy_url(url: str) -> str:
    """Return the URL of a database as SQLAlchemy's asynchronous drivers take it."""
    if not url or url.startswith("sqlite"):
        return url.replace("sqlite://", "sqlite+aiosqlite://", 1)
    place, _, name = url.partition("@")[2].rpartition("/")
    folder = psycopg.conninfo.conninfo_to_dict(url).get("host", place)
    return f"postgresql+asyncpg://postgres@/{name}?host={folder}"


SDK_MEMORY = Server("SDK", "memory")
SDK_POSTGRESQL = Server("SDK", "PostgreSQL")
SDK_CLUSTER = Server("SDK", "PostgreSQL", cluster=True)
FASTA2A = Server("FastA2A", "memory")
OURS_SQLITE = Server("a2a_app", "SQLite", "daphne")
OURS = Server("a2a_app", "PostgreSQL", "daphne")
OURS_UVICORN = Server("a2a_app", "PostgreSQL", "uvicorn")
OURS_WORKERS = Server("a2a_app", "PostgreSQL", "daphne", cluster=True)

SERVERS = (
    SDK_MEMORY,
    Server("SDK", "SQLite"),
    SDK_POSTGRESQL,
    SDK_CLUSTER,
    FASTA2A,
    Server("a2a_app", "SQLite", "uvicorn"),
    OURS_SQLITE,
    OURS_UVICORN,
    OURS,
    Server("a2a_app", "PostgreSQL", "uvicorn", cluster=True),
    OURS_WORKERS,
)
# No A2A at all: a Django view that commits a row twice, or reads one.
FLOORS = (
    Server("the floor", "PostgreSQL", "uvicorn"),
    Server("the floor", "PostgreSQL", "daphne"),
)
ALL = (*SERVERS, *FLOORS)
# One of each kind, where all of them would take too long or show the same.
SOME = (SDK_MEMORY, SDK_POSTGRESQL, SDK_CLUSTER, FASTA2A, OURS_SQLITE, OURS_UVICORN, OURS)
# The others are compared to these.
MEASURES = (SDK_MEMORY, SDK_POSTGRESQL, SDK_CLUSTER)
