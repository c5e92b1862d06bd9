"""Sites: Django projects made of what the pages show."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ROOT, Process, free_port

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w/]+\.py)\n")
SECONDS = 60


def named_blocks(page: str) -> dict[str, list[str]]:
    """Return a page's blocks of Python by the file that the first line of each names."""
    files: dict[str, list[str]] = {}
    for block in BLOCK.findall((ROOT / page).read_text()):
        if named := NAMED.match(block):
            files.setdefault(named[1], []).append(block)
    return files


class Site:
    """A new Django project, made as a page says."""

    def __init__(self, folder: Path, files: dict[str, list[str]]) -> None:
        self.folder = folder
        # With what is there already: a checkout beside the one that is installed has its own app.
        places = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        self.env = {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": places}
        self.run("-m", "django", "startproject", "mysite", ".", DJANGO_SETTINGS_MODULE="")
        self.run("manage.py", "startapp", "hello")
        for name, blocks in files.items():
            path = folder / name
            # What is in the settings already stays; every other file is the page's own.
            before = path.read_text() if name.endswith("settings.py") else ""
            path.write_text("\n".join([before, *blocks]))
        port = free_port()
        serve = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "mysite.asgi:application"]
        self.server = Process([sys.executable, *serve], self.env, port)

    def run(self, *command: str, **env: str) -> str:
        """Run Python in the project's folder and return what it prints."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**os.environ, **self.env, **env},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def talk(self) -> str:
        """Serve, and return what the page's client prints."""
        with self.served():
            return self.run("client.py", self.server.url)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Migrate, check and serve."""
        self.run("manage.py", "migrate", "--verbosity", "0")
        assert "no issues" in self.run("manage.py", "check", "--database", "default")
        self.server.start()
        try:
            yield
        finally:
            self.server.kill()
