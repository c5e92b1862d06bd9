"""The adapters are extras: nothing needs them, and each says what it needs itself."""

import subprocess
import sys
import tomllib

import pytest

from tests.servers import ROOT

SECONDS = 60
EXTRAS = {
    "adk": "google.adk",
    "fasta2a": "fasta2a",
    "langgraph": "langgraph",
    "openai_agents": "agents",
    "pydantic_ai": "pydantic_ai",
    "sdk": "a2a",
}
ABSENT = """
import sys, django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "a2a_app"])
for package in {packages}:
    sys.modules[package] = None
django.setup()
import a2a_app.agents, a2a_app.urls
print(sorted(name for name in sys.modules if name.startswith("a2a_app.contrib")))
import importlib
for name in {names}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """Return what a project prints in which no framework is installed."""
    names = [*(f"a2a_app.contrib.{name}" for name in sorted(EXTRAS)), "a2a_app.mcp"]
    code = ABSENT.format(packages=[*EXTRAS.values(), "mcp"], names=names)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return done.stdout.splitlines()


def test_nothing_of_an_adapter_is_loaded_unless_a_project_names_it(printed: list[str]) -> None:
    assert printed[0] == "[]"


def test_an_adapter_without_its_framework_says_what_to_install(printed: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [*(name.replace("_", "-") for name in sorted(EXTRAS)), "mcp"]
    assert set(extras) <= set(project["optional-dependencies"])
    for line, extra in zip(printed[1:], extras, strict=True):
        assert line.endswith(f"pip install '{project['name']}[{extra}]'")


def test_each_file_of_the_room_is_an_adapter_or_what_they_share() -> None:
    files = {path.stem for path in (ROOT / "a2a_app" / "contrib").glob("*.py")}
    assert files == {*EXTRAS, "__init__", "exchange"}
