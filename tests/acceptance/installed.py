"""Packages of other clients, installed once for all sessions; `make clean` removes them."""

import subprocess
import sys
from pathlib import Path

SECONDS = 300
BIN = Path(sys.executable).parent


def python_with(requirement: str) -> Path:
    """Return a Python that has a package which ours has in another version."""
    folder = _folder(requirement)
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        uv = str(BIN / "uv")  # pip takes a minute for what uv does in seconds
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        subprocess.run(make, check=True, timeout=SECONDS)
        _install(folder, [uv, "pip", "install", "--quiet", "--python", str(python), requirement])
    return python


def node_with(requirement: str) -> Path:
    """Return a folder where Node finds a package of npm."""
    folder = _folder(requirement)
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _install(folder, [str(BIN / "npm"), "install", "--prefix", str(folder), requirement])
    return folder


def _folder(requirement: str) -> Path:
    name = "".join(letter if letter.isalnum() else "-" for letter in requirement)
    return Path(sys.prefix) / "clients" / name.strip("-")


def _install(folder: Path, command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=SECONDS, cwd=folder)
    (folder / "done").touch()
