"""Servers as forks of a process that has loaded the libraries: two thirds of a server's start."""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

# What servers and workers load and what needs no settings, starts no thread and opens nothing.
PRELOADED = [
    "a2a_app.concurrency",
    "a2a_app.protocol",
    "autobahn.twisted.websocket",
    "channels.layers",
    "channels_redis.pubsub",
    "cryptography.fernet",
    "django.contrib.admin.options",
    "django.contrib.sessions.middleware",
    "django.contrib.staticfiles.handlers",
    "django.core.cache",
    "django.core.handlers.asgi",
    "django.core.management",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.template.backends.django",
    "django.views.debug",
    "httpx",
    "jwt",
    "markdown_it",
    "nh3",
    "psycopg",
    "twisted.protocols.tls",
    "twisted.web.http",
    "uvicorn",
    "tests.loaded",  # the last, since it loads the app
]
# Settings with the apps of `tests.loaded`, in its order: what those register cannot be taken back.
SETTINGS = {"tests.browser.settings", "tests.settings", "tests.silent_layer"}
# Which some tests change.
_ENVIRONMENT = dict(os.environ)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOADED)


def can_fork(command: list[str], env: dict[str, str]) -> bool:
    """Tell whether a fork is what the command would be: of this Python, in its environment."""
    if env.get("DJANGO_SETTINGS_MODULE") not in SETTINGS:
        return False
    names = {*env, *_ENVIRONMENT}
    changed = {name for name in names if env.get(name) != _ENVIRONMENT.get(name)}
    at_start = {name for name in changed if name.startswith(("LD_", "PYTHON"))}
    return command[0] == sys.executable and at_start <= {"PYTHONUNBUFFERED"}


class Fork:
    """A command of Python as a fork, with as much of `subprocess.Popen` as tests use."""

    def __init__(
        self, command: list[str], cwd: Path, env: dict[str, str], log: Path, errors: Path
    ) -> None:
        """Start it; what it prints, and its errors, go to the ends of files."""
        # A daemon: it is ended with the tests' own process.
        self._process = _context.Process(
            target=_run, args=(command, cwd, env, log, errors), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Return its exit code once it has ended; raise TimeoutExpired after so many seconds."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, which: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            # The process that has forked it may know of its end before this one does.
            with suppress(ProcessLookupError):
                os.kill(self.pid, which)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _run(command: list[str], cwd: Path, env: dict[str, str], log: Path, errors: Path) -> None:
    """Become the command: `python -m module …` or `python file …`."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for standard, path in ((sys.stdout, log), (sys.stderr, errors)):
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(written, standard.fileno())
        os.close(written)
        standard.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # real files
    sys.path[0] = str(cwd)
    # Found, and not imported: only the process that forks loads it.
    sys.modules["tests.loaded"].forget_settings()
    atexit_too = getattr(atexit, "_run_exitfuncs")  # noqa: B009  # a fork leaves without them
    try:
        if command[1] == "-m":
            sys.argv = command[2:]
            runpy.run_module(command[2], run_name="__main__", alter_sys=True)
        else:
            sys.argv = command[1:]
            runpy.run_path(command[1], run_name="__main__")
    finally:
        atexit_too()
