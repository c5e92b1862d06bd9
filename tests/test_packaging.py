"""What is in the repository's top folder, and what is in the wheel."""

import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.servers import ROOT

TOP = {
    ".ci",
    ".git",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "a2a_app",
    "benchmarks",
    "docs",
    "manage.py",
    "mkdocs.yml",
    "project",
    "pyproject.toml",
    "setup.py",
    "templates",
    "tests",
}
# What users get is the app, with all its files that are not code.
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def test_the_top_folder_holds_only_what_belongs_there() -> None:
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    found = {
        path.name
        for path in ROOT.iterdir()
        if not any(fnmatch(path.name, pattern) for pattern in ignored)
    }

    assert found - TOP == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel, built from a copy: building leaves things behind."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("a2a_app", "project", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", BUILD, str(copy)]
    subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=60)
    [built] = copy.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_app(wheel: set[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "a2a_app").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files - wheel == set()
    assert "a2a_app/py.typed" in wheel


def test_the_wheel_holds_nothing_but_the_app(wheel: set[str]) -> None:
    tops = {Path(name).parts[0] for name in wheel}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"a2a_app"}
