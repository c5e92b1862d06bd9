import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from a2a_app import conf
from project.children import Child, NotReadyError, running
from project.examples import streaming_curl
from project.services import free_port, postgresql_url, redis_command, start_postgresql

SERVERS = 2
WORKERS = 2
# How long a process has to end, after SHUTDOWN_SECONDS for its turns.
GRACE_SECONDS = 5.0


class Command(BaseCommand):
    help = (
        "Run a whole cluster on this machine: PostgreSQL, Redis, two servers of HTTP, one of gRPC, "
        "and two workers. SIGTERM or Ctrl-C ends it and deletes its data."
    )
    # They would use the database of the settings, but the cluster has its own.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._run())
        # Ctrl-C reaches the programs of PostgreSQL too, and fails them while they start it.
        except (NotReadyError, subprocess.CalledProcessError) as failure:
            raise CommandError(str(failure)) from failure

    async def _run(self) -> None:
        _cancel_when_asked_to_end()
        self._say("Starting PostgreSQL, Redis, two servers of HTTP, one of gRPC and two workers…")
        with (
            tempfile.TemporaryDirectory(prefix="a2a-") as folder,
            _postgresql(folder) as database_url,
        ):
            port = free_port()
            env = {
                "DATABASE_URL": database_url,
                "REDIS_URL": f"redis://127.0.0.1:{port}/0",
                "A2A_RUNNER": "procrastinate",
                "A2A_GRPC_URL": f"127.0.0.1:{free_port()}",
            }
            redis = redis_command(port, Path(folder))
            async with running(self._child("redis", redis, env, ready="Ready to accept")):
                _migrate(env)
                await self._serve(env)

    async def _serve(self, env: dict[str, str]) -> None:
        """Run servers and workers until cancelled."""
        urls, children = [], []
        grpc_port = env["A2A_GRPC_URL"].rpartition(":")[2]
        for number in range(1, SERVERS + 1):
            port = free_port()
            urls.append(f"http://127.0.0.1:{port}")
            daphne = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port)]
            command = [*daphne, "project.asgi:application"]
            children.append(self._child(f"server-{number}", command, env, ready="Listening on"))
        command = [sys.executable, "manage.py", "a2a_grpc", "--port", grpc_port]
        there = {**env, "A2A_PUBLIC_URL": urls[0]}
        children.append(self._child("grpc", command, there, ready="gRPC listens on"))
        for number in range(1, WORKERS + 1):
            command = [sys.executable, "manage.py", "a2a_worker"]
            children.append(self._child(f"worker-{number}", command, env, ready="takes turns"))
        async with running(*children):
            self._welcome(urls, env)
            await asyncio.Event().wait()

    def _child(self, name: str, command: Sequence[str], env: dict[str, str], ready: str) -> Child:
        return Child(
            name,
            command,
            folder=settings.BASE_DIR,
            # Unbuffered, so that each line is seen when it is printed.
            env={**env, "PYTHONUNBUFFERED": "1"},
            ready=ready,
            grace=conf.current().shutdown_seconds + GRACE_SECONDS,
            say=self._say,
        )

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _welcome(self, urls: list[str], env: dict[str, str]) -> None:
        servers = "\n".join(f"  A server    {url}" for url in urls)
        variables = " ".join(f"{name}={value}" for name, value in env.items())
        self._say(
            f"""
{servers}
  gRPC        {env["A2A_GRPC_URL"]}
  A stream    {streaming_curl(urls[0])}
  Commands    {variables} .venv/bin/python manage.py …
  The end     Ctrl-C, which deletes the data
"""
        )


def _cancel_when_asked_to_end() -> None:
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None

    def end() -> None:
        # Only once: a second Ctrl-C must not interrupt the end that the first one has begun.
        if not main.cancelling():
            main.cancel()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, end)


@contextmanager
def _postgresql(folder: str) -> Iterator[str]:
    server = start_postgresql(Path(folder) / "pg")
    try:
        yield postgresql_url(server)
    finally:
        server.cleanup()


def _migrate(env: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **env},
        check=True,
        start_new_session=True,  # as for a Child
    )
