"""A cluster: the servers and workers of one site, each a process, and what they share."""

import sys
from contextlib import ExitStack
from typing import Any, Literal

from tests.servers import Layer, Process, web_server

Queue = Literal["celery", "procrastinate", "tasks"]

# Each queue's own worker, and what it says once it takes work.
WORKERS = {
    "celery": (
        ["-m", "celery", "--app", "tests.celery_site", "worker", "--queues", "a2a", "-l", "INFO"],
        " ready.",
    ),
    "procrastinate": (["manage.py", "a2a_worker"], "takes turns from the queue"),
    "tasks": (
        ["manage.py", "db_worker", "--no-startup-delay", "--interval", "0.1"],
        "Starting worker",
    ),
}
SETTINGS = {"celery": "tests.celery_site"}


class Cluster:
    """Makes and starts the processes of one site; use as a context manager, which kills them."""

    def __init__(
        self,
        *,
        database_url: str,
        layer: Layer | Literal["silent"] = "redis",
        redis_url: str = "",
        queue: Queue = "procrastinate",
        **a2a: Any,
    ) -> None:
        """Describe a site; with a `redis_url` its layer uses that Redis, and not the tests' own."""
        self._queue = queue
        self._redis_url = redis_url
        silent = layer == "silent"
        self._options = {
            "database_url": database_url,
            "layer": "memory" if silent else layer,
            "settings_module": "tests.silent_layer"
            if silent
            else SETTINGS.get(queue, "tests.settings"),
            **a2a,
        }
        self._stack = ExitStack()
        self.processes: list[Process] = []

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *failed: object) -> None:
        self._stack.close()
        if failed[0] is not None:
            # pytest shows it.
            for process in self.processes:
                sys.stdout.write(f"\n{process.command}\n{process.output()[-20_000:]}")

    def start(self, *, servers: int, workers: int) -> tuple[list[Process], list[Process]]:
        """Start so many servers and workers."""
        return [self.server() for _ in range(servers)], [self.worker() for _ in range(workers)]

    def server(self) -> Process:
        """Start one more server."""
        return self._start(self._described())

    def worker(self, *options: str) -> Process:
        """Start one more worker, with these options of its command."""
        command, ready = WORKERS[self._queue]
        env = self._described().env
        return self._start(Process([sys.executable, *command, *options], env, ready=ready))

    def _described(self) -> Process:
        server = web_server("daphne", **self._options)
        server.env["A2A_RUNNER"] = self._queue
        if self._redis_url:
            server.env["REDIS_URL"] = self._redis_url
        return server

    def _start(self, process: Process) -> Process:
        self._stack.callback(process.kill)
        self.processes.append(process)
        process.start()
        return process
