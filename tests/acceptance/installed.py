"""Packages that the tests' own environment does not have: those of other clients, and our wheel."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from tests.servers import ROOT

SECONDS = 300
BIN = Path(sys.executable).parent
UV = str(BIN / "uv")  # pip takes a minute for what uv does in seconds
OURS = "django-agent2agent"
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"


def python_with(requirement: str) -> Path:
    """Return a Python that has a package which ours has in another version.

    It is installed once for all sessions; `make clean` removes it.
    """
    folder = _folder(requirement)
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        _make_environment(folder)
        _install(folder, [UV, "pip", "install", "--quiet", "--python", str(python), requirement])
    return python


def python_with_only(*requirements: str) -> Path:
    """Return a Python that has the newest of these packages and what they need, and no others.

    The environment stays for the next session, so that its packages need not be compiled again.
    """
    name = sha256(f"{ROOT} {[Path(each).name for each in requirements]}".encode()).hexdigest()[:12]
    folder = _folder(name)
    python, wanted = folder / "bin" / "python", folder / "wanted.txt"
    if not python.exists():
        _make_environment(folder)
    compiling = ["compile", "--upgrade", "--output-file", str(wanted), "-"]
    # The wheel has the same version each time, and other contents.
    installing = ["sync", "--reinstall-package", OURS, str(wanted)]
    for command in (compiling, installing):
        subprocess.run(
            [UV, "pip", *command, "--quiet", "--python", str(python)],
            input="\n".join(requirements),
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    return python


def build_wheel(folder: Path) -> Path:
    """Build the wheel in a folder, and return it."""
    return _build("wheel", folder)


def build_sdist(folder: Path) -> Path:
    """Build the source distribution in a folder, and return it."""
    return _build("sdist", folder)


def node_with(requirement: str) -> Path:
    """Return a folder where Node finds a package of npm."""
    folder = _folder(requirement)
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _install(folder, [str(BIN / "npm"), "install", "--prefix", str(folder), requirement])
    return folder


def _build(kind: str, folder: Path) -> Path:
    """Build from a copy of the checkout: building leaves things behind."""
    copy, built = folder / "checkout", folder / "built"
    copy.mkdir()
    for path in ROOT.glob("*"):
        if path.is_file() and not path.name.startswith(("db.sqlite3", ".")):
            shutil.copy(path, copy)
    for name in ("a2a_app", "project", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", BUILD.format(kind), str(built)]
    subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=60)
    [found] = built.iterdir()
    return found


def _folder(requirement: str) -> Path:
    name = "".join(letter if letter.isalnum() else "-" for letter in requirement)
    return Path(sys.prefix) / "clients" / name.strip("-")


def _make_environment(folder: Path) -> None:
    make = [UV, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
    subprocess.run(make, check=True, timeout=SECONDS)


def _install(folder: Path, command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=SECONDS, cwd=folder)
    (folder / "done").touch()
