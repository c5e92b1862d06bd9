"""Sites: Django projects made of what the pages show."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command

from tests.servers import ROOT, Process, free_port

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w/]+\.py)\n")
# Only a bound: each starts a process or several, and the machine may have other work.
SECONDS = 180
TYPED = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISED = re.compile(r"It prints `(.*?)`")
INSTALL = "pip install "
# What is done already, and what asks a person for a name and a password.
LEFT_OUT = ("python -m venv ", INSTALL, "python manage.py createsuperuser")


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
        call_command("startproject", "mysite", str(folder))
        (folder / "hello").mkdir()
        call_command("startapp", "hello", str(folder / "hello"))
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
        commands = ["migrate --verbosity 0", "check --database default"]
        assert "no issues" in self.run("-c", calling(*commands))
        self.server.start()
        try:
            yield
        finally:
            self.server.kill()


def calling(*commands: str) -> str:
    """Return Python that runs several commands of manage.py in one process."""
    run = [f"call(*{shlex.split(each)})" for each in commands]
    start = "import django; from django.core.management import call_command as call; django.setup()"
    return "; ".join([start, *run])


class QuickStart:
    """The quick start, by sections."""

    def __init__(self) -> None:
        self.text = (ROOT / "docs" / "quick-start.md").read_text()

    def blocks(self, section: str) -> list[tuple[str, str]]:
        """Return the kinds and texts of a section's blocks."""
        [found] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", self.text, re.M | re.S)
        blocks: list[tuple[str, str]] = TYPED.findall(found)
        assert blocks
        return blocks

    def block(self, section: str, beginning: str) -> tuple[str, str]:
        """Return the one block of a section that begins so."""
        [block] = [each for each in self.blocks(section) if each[1].startswith(beginning)]
        return block

    @property
    def installed(self) -> list[str]:
        """What the page has installed."""
        [line] = re.findall(rf"^\$ {INSTALL}(.*)$", self.text, re.MULTILINE)
        return shlex.split(line)


class Reader:
    """Follows the quick start in a folder, with an environment's commands."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.bin = folder, python.parent
        self.env = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        self.env |= {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}
        self.env.pop("DJANGO_SETTINGS_MODULE", None)
        self.server: Process | None = None

    def follow(self, *blocks: tuple[str, str]) -> None:
        """Type what a page shows: commands one after the other, or the text of a file."""
        for kind, text in blocks:
            if kind == "python":
                self._write(text)
                continue
            for line in text.splitlines():
                command = line.removeprefix("$ ")
                if command == "python manage.py runserver":
                    self.serve()
                elif not command.startswith(LEFT_OUT):
                    self.type(command)

    def type(self, command: str) -> str:
        """Return what a command prints; fail where it does not end well."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "manage.py check" not in command or "no issues" in done.stdout
        return done.stdout

    def _write(self, text: str) -> None:
        named = NAMED.match(text)
        assert named is not None
        path = self.folder / named[1]
        # The page adds to the settings; every other file is the page's own.
        before = path.read_text() + "\n" if path.name == "settings.py" else ""
        path.write_text(before + text)

    def manage(self, *commands: str) -> str:
        """Return what several commands of manage.py print, which one process runs."""
        setting = "DJANGO_SETTINGS_MODULE=mysite.settings"
        return self.type(f"{setting} python -c {shlex.quote(calling(*commands))}")

    def serve(self) -> None:
        """Run `runserver` on a free port, without the process that watches the files."""
        port = free_port()
        serve = ["runserver", "--noreload", f"127.0.0.1:{port}"]
        manage = str(self.folder / "manage.py")
        self.server = Process([str(self.bin / "python"), manage, *serve], {}, port)
        self.server.env = self.env
        self.server.start()

    def talk(self, page: QuickStart) -> None:
        """Run the page's client, and see that it prints what the page says."""
        self.follow(*page.blocks("Talk to it"))
        assert self.server is not None
        said = self.type(f"python client.py {self.server.url}")
        [promised] = PROMISED.findall(page.text)
        assert said.split() == promised.split()
