"""A cluster: the servers and workers of one site, each a process, and what they share."""

import sys
from contextlib import ExitStack
from typing import Any, Literal

from tests.servers import Layer, Process, web_server

Queue = Literal["procrastinate", "tasks"]

# Each queue's own worker, and what it says once it takes work.
WORKERS = {
    "procrastinate": (["a2a_worker"], "takes turns from the queue"),
    "tasks": (["db_worker", "--no-startup-delay", "--interval", "0.1"], "Starting worker"),
}


class Cluster:
    """Makes and starts the processes of one site; use as a context manager, which kills them."""

    def __init__(
        self,
        *,
        database_url: str,
        layer: Layer = "redis",
        queue: Queue = "procrastinate",
        settings_module: str = "tests.settings",
        **a2a: Any,
    ) -> None:
        self._queue = queue
        self._options = {
            "database_url": database_url,
            "layer": layer,
            "settings_module": settings_module,
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

    def server(self) -> Process:
        """Start one more server."""
        process = web_server("daphne", **self._options)
        process.env["A2A_RUNNER"] = self._queue
        return self._start(process)

    def worker(self) -> Process:
        """Start one more worker."""
        command, ready = WORKERS[self._queue]
        env = {**web_server("daphne", **self._options).env, "A2A_RUNNER": self._queue}
        return self._start(Process([sys.executable, "manage.py", *command], env, ready=ready))

    def _start(self, process: Process) -> Process:
        self._stack.callback(process.kill)
        self.processes.append(process)
        process.start()
        return process
