"""The docs say what is true: the reference is complete, and what the pages show runs."""

import inspect
import json
import re
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.management import get_commands
from django.dispatch import Signal
from django.utils.module_loading import import_string
from pydantic_core import PydanticUndefined

from a2a_app import checks, models, protocol, signals
from a2a_app.agents import Agent, registry
from a2a_app.conf import Settings
from a2a_app.layers import PostgreSQLChannelLayer
from a2a_app.operations import OPERATIONS
from a2a_app.protocol import A2AError, TaskState
from a2a_app.urls import urlpatterns
from tests.browser import screenshots
from tests.clients.operations import OperationsClient
from tests.clients.sockets import SocketClient
from tests.conftest import Serve
from tests.servers import ROOT, fresh_database
from tests.sites import BLOCK, Site, named_blocks
from tests.tasks import new_message
from tests.wire import load_message, state

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = "".join(page.read_text() for page in sorted((ROOT / "docs" / "reference").glob("*.md")))
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def row_of(name: str) -> str:
    """Return the reference's table row about a name; fail where there is none."""
    rows = [line for line in REFERENCE.splitlines() if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1, f"docs/reference has {len(rows)} rows about {name}"
    return rows[0]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_the_reference_gives_every_setting_with_its_default(field: str) -> None:
    default = Settings.model_fields[field].default
    assert default is not PydanticUndefined
    shown = row_of(field.upper()).split("|")[2].strip()
    assert eval(shown.strip("`"), {}) == default


def test_the_reference_gives_no_setting_that_is_not_there() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {
        field.upper() for field in Settings.model_fields
    }


LAYER_CONFIG = inspect.signature(PostgreSQLChannelLayer).parameters


@pytest.mark.parametrize("name", LAYER_CONFIG)
def test_the_reference_gives_every_config_of_the_channel_layer_with_its_default(name: str) -> None:
    shown = row_of(name).split("|")[2].strip()
    assert eval(shown.strip("`"), {}) == LAYER_CONFIG[name].default


def test_the_reference_gives_every_system_check() -> None:
    sources = [path.read_text() for path in Path(checks.__file__).parent.glob("*.py")]
    known = set(re.findall(r'"(a2a\.[EW]\d+)"', "".join(sources)))
    assert known
    assert set(re.findall(r"^\| `(a2a\.[EW]\d+)` \|", REFERENCE, re.MULTILINE)) == known


def test_the_reference_gives_every_command() -> None:
    commands = Path(checks.__file__).parent.parent / "management" / "commands"
    for path in commands.glob("[!_]*.py"):
        row_of(f"manage.py {path.stem}")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_reference_gives_every_operation(operation: str) -> None:
    row_of(operation)


ERRORS = [
    each
    for each in vars(protocol).values()
    if isinstance(each, type) and issubclass(each, A2AError) and each is not A2AError
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda each: each.__name__)
def test_the_reference_gives_every_error_with_its_codes_and_reason(error: type[A2AError]) -> None:
    row = row_of(error.__name__)
    assert f"| {error.code} | {error.http_status} |" in row
    assert f"| `{error.reason}` |" in row


@pytest.mark.parametrize("model", models.__all__)
def test_the_reference_gives_every_model_with_its_fields(model: str) -> None:
    row = row_of(model)
    named = set(re.findall(r"`(\w+)`", row))
    fields = {field.name for field in getattr(models, model)._meta.local_fields if field.column}
    assert fields <= named, fields - named


SIGNALS = [name for name, value in vars(signals).items() if isinstance(value, Signal)]


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_reference_gives_every_signal(signal: str) -> None:
    row_of(signal)


@pytest.mark.parametrize("attribute", Agent.__annotations__)
def test_the_page_on_agents_gives_every_attribute_of_an_agent(attribute: str) -> None:
    page = (ROOT / "docs" / "agents.md").read_text()
    names = re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
    assert any(f"`{attribute}`" in name for name in names)


def test_the_reference_gives_every_url() -> None:
    both = [(str(each.pattern), inner) for each in urlpatterns for inner in each.url_patterns]
    for before, pattern in both:
        shown = before + re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", str(pattern.pattern))
        if shown.endswith("slug>"):
            shown += "/"  # served with and without the slash; one row says so
        # A sentence says so of all routes: a tenant may stand before them, and v1 means 0.3.
        shown = shown.replace("<tenant>/", "").replace("v1/card", "extendedAgentCard")
        shown = shown.replace("<slug>/v1/", "<slug>/")
        row_of(f"/{shown}")


def test_the_readme_leads_to_every_page() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages - set(LINK.findall((ROOT / "README.md").read_text())) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


# What the pages show, held against what is there.


@pytest.mark.parametrize("page", ["deployment", "growth"])
def test_the_settings_of_a_page_are_settings(page: str) -> None:
    shown = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text())
    assert shown
    names: dict[str, Any] = {
        "os": SimpleNamespace(environ=defaultdict(str)),
        "INSTALLED_APPS": [],
        "DATABASES": {"default": {}},
        "A2A": {},
    }
    for block in shown:
        exec(block, names)
    Settings.model_validate(names["A2A"])
    for app in names["INSTALLED_APPS"]:
        assert find_spec(app), app
    for layer in names.get("CHANNEL_LAYERS", {}).values():
        import_string(layer["BACKEND"])(**layer["CONFIG"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_there(page: Path) -> None:
    text = page.read_text()
    # Procrastinate's is there only where the database is PostgreSQL.
    known = {*get_commands(), "procrastinate"}
    assert set(re.findall(r"manage\.py (\w+)", text)) <= known
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^\$ |^ {4}|`)make (\w+)", text, re.MULTILINE)) <= targets


def test_no_picture_is_older_than_its_page() -> None:
    noted = json.loads(screenshots.DIGESTS.read_text())
    assert set(noted) == {path.name for path in screenshots.FOLDER.glob("*.png")}
    old = [name for name, of_it in noted.items() if of_it != screenshots.digests(name)]
    assert old == [], "Take them anew, and look at them: make screenshots"


def test_the_time_limits_of_the_page_on_deployment_fit_the_defaults() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    defaults = Settings()
    [body] = re.findall(r"client_max_body_size (\d+)m;", page)
    assert int(body) * 1024 * 1024 == defaults.max_body_bytes
    [hours] = re.findall(r"proxy_read_timeout (\d+)h;", page)
    assert int(hours) * 3600 > defaults.keepalive_seconds
    stops = re.findall(r"^TimeoutStopSec=(\d+)$", page, re.MULTILINE)
    assert len(stops) == 2
    assert all(int(seconds) > defaults.shutdown_seconds for seconds in stops)


# What the pages show, run.


async def test_the_log_can_be_partitioned_as_the_page_on_growth_says(serve: Serve) -> None:
    page = (ROOT / "docs" / "growth.md").read_text()
    partition, first_id = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    with fresh_database("postgresql") as url, psycopg.connect(url, autocommit=True) as connection:
        server = serve(database_url=url)
        async with SocketClient(server.url, "load") as client:
            before = await client.send(load_message(chunks=3))
            connection.execute("SET TIME ZONE 'UTC'")
            row = connection.execute(first_id).fetchone()
            assert row is not None and partition.count(str(row[0])) == 2
            connection.execute(partition)
            after = await client.send(load_message(chunks=3))
            for task in (before, after):
                seen = await client.stream("SubscribeToTask", id=task["id"], last_event_id="1")
                assert state(seen[-1][1]) == "COMPLETED"
            connection.execute("DROP TABLE a2a_app_event_first")
            assert await client.result("GetTask", id=before["id"]) == before
        server.kill()


def test_the_readme_makes_a_project_whose_agent_streams(tmp_path: Path) -> None:
    places = {"agents.py": "hello/agents.py", "client.py": "client.py"}
    files = {
        places.get(name, f"mysite/{name}"): blocks
        for name, blocks in named_blocks("README.md").items()
    }
    files["mysite/settings.py"].append('INSTALLED_APPS = [*INSTALLED_APPS, "hello"]\n')
    assert Site(tmp_path, files).talk() == "Hello from the official client "


def test_the_page_on_files_makes_a_project_whose_files_come_back(tmp_path: Path) -> None:
    files = named_blocks("docs/quick-start.md")
    for name, blocks in named_blocks("docs/files.md").items():
        files[name] = [*files[name], *blocks] if name.endswith("settings.py") else blocks
    said = Site(tmp_path, files).talk()
    assert said.splitlines() == ["photo.bin 200000", "twice.bin 400000"]
    assert len([path for path in (tmp_path / "kept").rglob("*") if path.is_file()]) == 2


@pytest.mark.slow
async def test_every_agent_of_the_pages_answers(runtime: None) -> None:
    # The first of the README's has the name of one of the project's, and is served above.
    blocks = BLOCK.findall((ROOT / "docs" / "agents.md").read_text())
    blocks += named_blocks("README.md")["agents.py"][1:]
    with registry.registered():
        before = set(registry)
        exec("\n".join(blocks), {"__name__": "pages"})
        shown = [agent for agent in registry if agent not in before]
        assert len(shown) > 10
        for agent in shown:
            response = await OperationsClient(agent).respond("hello")
            if response.task is not None:
                state = response.task.status.state
                assert state in (TaskState.COMPLETED, TaskState.INPUT_REQUIRED), agent.slug


async def test_the_agents_of_the_page_on_conversations_need_no_task_id(runtime: None) -> None:
    with registry.registered():
        exec("\n".join(named_blocks("docs/conversations.md")["agents.py"]), {"__name__": "pages"})
        florist, framer = (OperationsClient(registry.get(slug)) for slug in ("florist", "framer"))
        bought = await florist.send("hello")
        for said in ("roses", "12"):
            bought = await florist.send(new_message(said, context_id=bought.context_id))
        asked = await framer.send("hello")
        framed = await framer.send(new_message("30 cm", context_id=asked.context_id))
    assert bought.status.message is not None and framed.status.message is not None
    assert bought.status.message.text == "Here you are: 12 roses."
    assert (framed.id, framed.status.message.text) == (asked.id, "A frame for 30 cm.")
