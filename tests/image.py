"""The images of the Dockerfile without Docker: its steps, done in a folder that is their root.

All stages share the folder, so that what one copies from another is there already.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from dockerfile_parse import DockerfileParser

from tests.acceptance.installed import OURS, UV
from tests.servers import ROOT

SECONDS = 200
# Folders of the image; all else that a step names is the machine's.
ABSOLUTE = re.compile(r"(?<![\w./:])/(?=(?:etc|src|srv|venv)\b)|(?<=:)/(?=(?:src|srv|venv)\b)")
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}")
# What takes a minute is done by what takes seconds, with the same arguments.
FASTER = {
    "python -m venv ": f"{UV} venv --quiet --allow-existing --python {sys.executable} ",
    "pip install --no-cache-dir ": f"{UV} pip install --quiet --reinstall-package {OURS} ",
}


class Image:
    """What the steps up to the end of one stage make."""

    def __init__(self, target: str) -> None:
        """Do the steps. What pip installs stays for the next session, since it is compiled then."""
        name = sha256(str(ROOT).encode()).hexdigest()[:12]
        self.root = Path(sys.prefix) / "clients" / f"image-{name}"
        for each in ("src", "srv", "etc"):
            shutil.rmtree(self.root / each, ignore_errors=True)
        self.stages = stages()
        self.env: dict[str, str] = {}
        self.place = self.root
        self.command: list[str] = []
        self.user = "root"
        for stage, steps in self.stages.items():
            for instruction, value in steps:
                getattr(self, f"_{instruction.lower()}")(value)
            if stage == target:
                return
        raise AssertionError(f"The Dockerfile has no {target}.")

    def path(self, text: str) -> str:
        """Return a text with the paths of the image made those of its folder."""
        return ABSOLUTE.sub(f"{self.root}/", text)

    def _from(self, value: str) -> None:
        self.env = {"PATH": os.environ["PATH"]}
        self.user = "root"

    def _workdir(self, value: str) -> None:
        self.place = Path(self.path(value))
        self.place.mkdir(parents=True, exist_ok=True)

    def _env(self, value: str) -> None:
        for each in shlex.split(value):
            name, _, text = each.partition("=")
            self.env[name] = self.path(text).replace("$PATH", self.env["PATH"])

    def _copy(self, value: str) -> None:
        *sources, target = shlex.split(value)
        if sources[0].startswith("--from="):
            assert sources[0].removeprefix("--from=") in self.stages
            assert all(Path(self.path(each)).exists() for each in sources[1:])
            return
        place = self.place / self.path(target)
        for source in sources:
            assert in_context(source), f"{source} is left out by .dockerignore"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True) if target.endswith("/") else None
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)

    def _run(self, value: str) -> None:
        for slow, fast in FASTER.items():
            value = value.replace(slow, fast)
        if os.getuid():  # who is not root can give nothing away
            value = re.sub(r" -[og] \d+", "", value)
        # The machine's too, for what says where packages come from.
        env = {**os.environ, **self.env, "VIRTUAL_ENV": str(self.root / "venv")}
        del env["DJANGO_SETTINGS_MODULE"]
        done = subprocess.run(
            self.path(value),
            shell=True,
            cwd=self.place,
            env=env,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _user(self, value: str) -> None:
        self.user = value

    def _expose(self, value: str) -> None:
        assert value.isdigit()

    def _cmd(self, value: str) -> None:
        self.command = list(yaml.safe_load(value))


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions and values of each stage of the Dockerfile."""
    found: dict[str, list[tuple[str, str]]] = {}
    for step in DockerfileParser(path=str(ROOT / "Dockerfile")).structure:
        if step["instruction"] == "FROM":
            found[step["value"].split(" AS ")[1]] = []
        if step["instruction"] != "COMMENT":
            [*_, newest] = found.values()
            newest.append((step["instruction"], step["value"]))
    return found


def in_context(source: str) -> bool:
    """Tell whether .dockerignore lets a file or folder of the checkout reach the Dockerfile."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*", "all is left out but what is named"
    return any(fnmatch(source.split("/")[0], each[1:]) for each in lines if each[0] == "!")


def compose(**environment: str) -> dict[str, Any]:
    """Return the services of compose.yaml, with variables from an environment.

    Raises:
        KeyError: A variable is not set that has to be.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        return environment.get(name, default) if default is not None else environment[name]

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: filled(each) for key, each in part.items()}
        if isinstance(part, list):
            return [filled(each) for each in part]
        return VARIABLE.sub(value, part) if isinstance(part, str) else part

    services: dict[str, Any] = filled(yaml.safe_load((ROOT / "compose.yaml").read_text()))
    return dict(services["services"])
