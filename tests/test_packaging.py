"""What is in the repository's top folder and in the wheel, and that CI tests what is promised."""

import re
import runpy
import tarfile
import tomllib
import zipfile
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.installed import build_sdist, build_wheel
from tests.servers import ROOT

TOP = {
    ".ci",
    ".dockerignore",
    ".git",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "README.md",
    "RELEASING.md",
    "SECURITY.md",
    "a2a_app",
    "benchmarks",
    "compose.yaml",
    "docs",
    "manage.py",
    "mkdocs.yml",
    "project",
    "pyproject.toml",
    "setup.py",
    "tests",
}
# What users get is the app, with all its files that are not code.
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
REPOSITORY: str = PROJECT["urls"]["Repository"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# The first Python of a release of Django that does not take all of ours.
FIRST_PYTHON = {"6.0": "3.12", "6.1": "3.12"}


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
    """Names of the files in the wheel."""
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))) as archive:
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


def test_the_source_distribution_holds_the_app_and_the_pages_about_it_and_no_tests(
    tmp_path: Path,
) -> None:
    with tarfile.open(build_sdist(tmp_path)) as archive:
        names = [Path(*Path(each).parts[1:]) for each in archive.getnames()]

    tops = {each.parts[0] for each in names if each.parts}
    assert {"a2a_app", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "setup.py"} <= tops
    assert tops & {"tests", "project", "benchmarks"} == set()
    assert Path("a2a_app/py.typed") in names


def promised(prefix: str) -> set[str]:
    """Return the versions in the classifiers that begin so."""
    versions = {each.removeprefix(prefix) for each in PROJECT["classifiers"]}
    return {version for version in versions if re.fullmatch(r"\d+\.\d+", version)}


def test_ci_tests_each_python_and_django_of_the_classifiers_together_and_no_other() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    excluded = {(each["python"], each["django"]) for each in matrix["exclude"]}
    pythons = promised("Programming Language :: Python :: ")
    djangos = promised("Framework :: Django :: ")

    assert set(matrix["database"]) == {"sqlite", "postgresql"}
    assert set(product(matrix["python"], matrix["django"])) - excluded == {
        (python, django)
        for python, django in product(pythons, djangos)
        if _version(python) >= _version(FIRST_PYTHON.get(django, "3.11"))
    }


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split("."))


def test_the_lowest_python_is_the_same_everywhere() -> None:
    lowest = min(promised("Programming Language :: Python :: "), key=_version)

    assert PROJECT["requires-python"] == f">={lowest}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(workflow: Path) -> None:
    used = re.findall(r"uses: (?!\./)(.*)", workflow.read_text())

    assert used
    assert [
        each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", each)
    ] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_that_ci_makes_is_in_the_makefile(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {
        each.replace("${{ matrix.database }}", database)
        for each in re.findall(r"run: make (.*)", workflow.read_text())
        for database in ("sqlite", "postgresql")
    }

    assert {each.split()[0] for each in made} <= targets


def test_what_checks_and_builds_the_code_has_exact_versions() -> None:
    extras = PROJECT["optional-dependencies"]

    assert [each for each in extras["lint"] + extras["release"] if "==" not in each] == []


def test_the_address_of_the_repository_is_written_once() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.*")]
    addresses = [
        address
        for page in pages
        for address in re.findall(r"https?://[^\s)>\"\']*django-agent2agent\b", page.read_text())
    ]

    assert [each for each in addresses if each != REPOSITORY] == []


READY = {"version": "1.2.3", "urls": {"Repository": "https://example.com/django-agent2agent"}}
CHANGES = "# Changelog\n\n## [UNRELEASED]\n\n## [1.2.3] - 2027-01-31\n"


@pytest.mark.parametrize(
    ("tag", "project", "changes", "found"),
    [
        ("v1.2.3", READY, CHANGES, 0),
        ("v1.2.4", READY, CHANGES, 1),
        ("v1.2.3", READY, CHANGES.replace(" - 2027-01-31", ""), 1),
        ("v1.2.3", {**READY, "urls": {"Repository": "https://a.example/OWNER/b"}}, CHANGES, 1),
        ("v1.2.3", {**READY, "urls": {"Repository": "https://a.example/OWNER"}}, CHANGES, 1),
    ],
    ids=["ready", "another tag", "no date", "no real address", "no real host"],
)
def test_a_release_that_is_not_ready_is_refused(
    tag: str, project: dict[str, object], changes: str, found: int
) -> None:
    check = runpy.run_path(str(ROOT / ".ci" / "check_release.py"))

    assert len(check["faults"](tag, project, changes)) == found
