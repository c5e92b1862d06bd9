"""The documentation's site and the package's page: they build, and each link leads somewhere."""

import ast
import email
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from markdown import markdown
from pytest_django import DjangoAssertNumQueries

from a2a_app import models
from tests.servers import ROOT
from tests.sites import named_blocks
from tests.tasks import begin

SITE = "https://site.invalid/"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
IN_REPOSITORY = re.compile(re.escape(REPOSITORY) + r"/(?:blob|raw)/HEAD/([^#]+)")
METADATA = (
    "import sys; from setuptools import build_meta;"
    "print(build_meta.prepare_metadata_for_build_wheel(sys.argv[1]))"
)
SECONDS = 60


class Html(HTMLParser):
    """What a page links to, what it loads, and the anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") != "canonical":
            self.loaded += [values["href"]] if "href" in values else []
        elif "src" in values:
            self.loaded.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site strictly: a page that leads nowhere fails the build."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Html]:
    """Return the pages of the site by their addresses."""
    found = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    return {
        urljoin(SITE, name.removesuffix("index.html")): Html(path.read_text())
        for name, path in found.items()
        if name != "404.html"
    }


def test_every_page_of_the_docs_is_on_the_site(pages: dict[str, Html]) -> None:
    sources = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert {urljoin(SITE, f"{path.with_suffix('')}/") for path in sources} < set(pages)


def test_every_link_of_the_site_leads_to_a_page_and_to_an_anchor_on_it(
    site: Path, pages: dict[str, Html]
) -> None:
    targets = [
        (address, urljoin(address, link)) for address, page in pages.items() for link in page.links
    ]
    own = [(address, target) for address, target in targets if target.startswith(SITE)]
    assert len(own) > 500
    wrong = []
    for address, target in own:
        place, _, anchor = target.partition("#")
        there = pages.get(place)
        if there is None or unquote(anchor) not in there.anchors:
            wrong.append((address, target))
    assert wrong == []


def test_what_the_site_loads_is_a_part_of_it(site: Path, pages: dict[str, Html]) -> None:
    loaded = {urljoin(address, each) for address, page in pages.items() for each in page.loaded}
    assert [each for each in loaded if not each.startswith(SITE)] == []
    paths = {each: site / unquote(urlsplit(each).path).lstrip("/") for each in loaded}
    assert [each for each, path in paths.items() if not path.exists()] == []


def test_links_from_the_site_into_the_repository_lead_to_files(pages: dict[str, Html]) -> None:
    links = {link for page in pages.values() for link in page.links if REPOSITORY in link}
    found = [IN_REPOSITORY.match(link) for link in links - {REPOSITORY, f"{REPOSITORY}/"}]
    assert found
    assert [each for each in found if each is None or not (ROOT / each[1]).exists()] == []


# The package's page shows the README, and has no files beside it.


@pytest.fixture(scope="module")
def package_page(tmp_path_factory: pytest.TempPathFactory) -> Html:
    """Return the page of the package, as its metadata describe it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "a2a_app", copy / "a2a_app")
    command = [sys.executable, "-c", METADATA, str(copy)]
    subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=SECONDS)
    [metadata] = copy.glob("*.dist-info/METADATA")
    message = email.message_from_string(metadata.read_text())
    assert message["Description-Content-Type"] == "text/markdown"
    return Html(markdown(str(message.get_payload()), extensions=["fenced_code", "tables"]))


def test_every_link_of_the_packages_page_is_absolute_and_ours_lead_to_files(
    package_page: Html,
) -> None:
    links = [link for link in package_page.links if not link.startswith("#")]
    assert [link for link in links if not urlsplit(link).scheme] == []
    ours = [IN_REPOSITORY.match(link) for link in links if link.startswith(REPOSITORY)]
    assert len(ours) > 20
    assert [each for each in ours if each is None or not (ROOT / each[1]).exists()] == []


def test_the_pictures_of_the_packages_page_are_files_of_the_repository(package_page: Html) -> None:
    [picture] = package_page.loaded
    assert picture == f"{REPOSITORY}/raw/HEAD/docs/images/admin.png"
    assert (ROOT / "docs" / "images" / "admin.png").exists()


def test_the_repositorys_address_is_written_once() -> None:
    listed = subprocess.run(
        ["git", "grep", "-l", REPOSITORY], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    assert listed.stdout.split() == ["pyproject.toml"]


# The page for operators.

OPERATING = (ROOT / "docs" / "operating.md").read_text()
LEVELS = {
    "error": "Errors",
    "exception": "Errors",
    "warning": "Warnings",
    "info": "Information",
    "debug": "Information",
}
# A line that several services write begins with their names.
SERVICES = re.compile(r'Outage\((?:self\._)?logger, "([^"]+)"\)')


def logged() -> Iterator[tuple[str, str]]:
    """Yield each line that the app may log, with the section of the page that it belongs to."""
    for path in (ROOT / "a2a_app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id="logger") | ast.Attribute(attr="_logger"), attr=level
                    ),
                    args=[ast.Constant(value=str(line)), *_],
                ):
                    yield line.splitlines()[0], LEVELS[level]


LINES = sorted(set(logged()))


def listed(section: str) -> list[str]:
    """Return the lines that a section of the page explains."""
    text = OPERATING.partition(f"\n### {section}\n")[2]
    return re.findall(r"^\| `([^`]+)` \|", re.split(r"\n##", text)[0], re.MULTILINE)


def as_pattern(line: str) -> str:
    """Make a pattern of a line, in which anything may stand for its values."""
    return ".+".join(re.escape(part) for part in re.split(r"%[.\d]*[a-z]", line))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_the_page_for_operators_explains_each_line_of_the_log(line: tuple[str, str]) -> None:
    text, section = line
    assert [each for each in listed(section) if re.fullmatch(as_pattern(text), each)]


def test_the_page_for_operators_explains_no_line_that_is_not_there() -> None:
    patterns = [as_pattern(text) for text, _ in LINES]
    explained = [line for section in set(LEVELS.values()) for line in listed(section)]
    assert len(explained) >= len(LINES)
    assert [
        line for line in explained if not any(re.fullmatch(each, line) for each in patterns)
    ] == []


def test_the_page_for_operators_names_loggers_and_services_that_are_there() -> None:
    loggers = set(re.findall(r"\| `(a2a_app\.[\w.]+)` \|", OPERATING))
    assert loggers
    for name in loggers:
        path = ROOT / name.replace(".", "/")
        assert "getLogger" in path.with_suffix(".py").read_text(), name
    sources = "".join(path.read_text() for path in (ROOT / "a2a_app").rglob("*.py"))
    services = SERVICES.findall(sources)
    assert len(services) == 4
    for service in services:
        assert f"| `{service} does not answer: …` |" in OPERATING
        assert f"| `{service} answers again.` |" in OPERATING


@pytest.mark.django_db
def test_the_figures_of_the_page_on_monitoring_count_what_is_there(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    task = begin().head.task_id
    [block] = named_blocks("docs/monitoring.md")["hello/monitoring.py"]
    names: dict[str, Any] = {}
    exec(block, names)
    with django_assert_num_queries(7):
        figures = names["figures"]()
    assert figures == {
        "turns waiting": 1,
        "oldest turn waiting since": models.Run.objects.get(task=task).created_at,
        "turns at work": 0,
        "leases run out": 0,
        "tasks of the last 5 minutes by state": {"TASK_STATE_SUBMITTED": 1},
        "webhooks failing": 0,
        "webhooks given up": 0,
    }
