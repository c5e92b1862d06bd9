"""A stranger's first minutes: the wheel in a fresh environment, and the quick start to the letter.

Nothing of this checkout is on the path of what is started here. The official client talks to it.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.installed import OURS, build_wheel, python_with_only
from tests.sites import QuickStart, Reader

pytestmark = pytest.mark.timeout(300)  # the packages may have to be fetched first

NO_ISSUES = "System check identified no issues (0 silenced)."


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, once."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path) -> Path:
    """Return the Python of an environment that has what the page installs, and nothing else."""
    page = QuickStart()
    return python_with_only(*[str(wheel) if each == OURS else each for each in page.installed])


@pytest.fixture
def reader(tmp_path: Path, python: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path, python)
    yield reader
    if reader.server is not None:
        reader.server.kill()


def test_the_quick_start_leads_to_an_agent_that_streams(reader: Reader) -> None:
    page = QuickStart()
    reader.follow(page.block("A project", "$ python -m venv"))
    for section in ("Settings", "URLs and ASGI", "An agent", "Serve it"):
        reader.follow(*page.blocks(section))
    reader.talk(page)


def test_a2a_init_writes_what_the_quick_start_does(reader: Reader) -> None:
    page = QuickStart()
    reader.follow(page.block("A project", "$ python -m venv"))
    settings = reader.folder / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + 'INSTALLED_APPS = [*INSTALLED_APPS, "a2a_app"]\n')
    reader.follow(page.block("A project", "$ python manage.py a2a_init"))
    [(_, agents)] = page.blocks("An agent")
    assert (reader.folder / "hello" / "agents.py").read_text() == agents.partition("\n")[2]
    files = {path: path.read_text() for path in reader.folder.rglob("*.py")}
    said = reader.manage("check", "a2a_init hello --write", "migrate --verbosity 0")
    assert said.splitlines() == [NO_ISSUES, "Nothing is missing."]
    assert {path: path.read_text() for path in reader.folder.rglob("*.py")} == files
    reader.serve()
    reader.talk(page)


def test_the_template_makes_a_project_that_lacks_nothing(reader: Reader) -> None:
    page = QuickStart()
    reader.follow(page.block("A project", "$ python -m a2a_app startproject"))
    said = reader.manage("check", "a2a_init", "migrate --verbosity 0")
    assert said.splitlines() == [NO_ISSUES, "Nothing is missing."]
    reader.serve()
    reader.talk(page)
    # The URL that runserver prints leads to the agents.
    assert reader.server is not None
    first = httpx.get(reader.server.url, headers={"Accept": "text/html"}, follow_redirects=True)
    assert "Countdown" in first.text


# With only a few packages around, an installer may choose other versions of what these need.
@pytest.mark.parametrize("extra", ["langgraph", "pydantic-ai"])
def test_an_adapter_loads_where_nothing_but_its_extra_is_installed(wheel: Path, extra: str) -> None:
    python = python_with_only(f"{wheel}[{extra}]")
    module = f"a2a_app.contrib.{extra.replace('-', '_')}"
    code = (
        "import django; from django.conf import settings;"
        'apps = ["django.contrib.contenttypes", "django.contrib.auth", "a2a_app"];'
        f"settings.configure(INSTALLED_APPS=apps); django.setup(); import {module}"
    )
    subprocess.run([python, "-c", code], cwd=wheel.parent, check=True, timeout=180)
