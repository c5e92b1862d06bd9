"""The layout holds, and its check would notice if it did not."""

from pathlib import Path

import pytest

from tests.layout import (
    APART,
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    MIN_FILE_LINES,
    ROOMS,
    SHORT_FILES,
    faults,
)
from tests.servers import ROOT


def check(root: Path, **files: str) -> list[str]:
    """Check a made-up checkout; `a2a_app__store__rows` stands for a2a_app/store/rows.py."""
    for name, source in files.items():
        path = root / Path(*name.replace("__init__", "INIT").split("__")).with_suffix(".py")
        path = path.with_name(path.name.replace("INIT", "__init__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n" * (MIN_FILE_LINES - source.count("\n")))
    return faults(root)


def test_the_checkout_keeps_every_rule_of_the_layout() -> None:
    assert faults(ROOT) == []


def test_every_room_has_a_folder_of_tests() -> None:
    folders = {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}
    folders |= {path.parent.parent.name for path in ROOT.glob("tests/*/*/test_*.py")}
    assert {*ROOMS, *APART} - folders == set()


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("store", "from a2a_app import protocol, conf, models, broadcast, store"),
        ("store", "import a2a_app.protocol.tasks"),
        (
            "store__rows",
            "from ..models import Task\nfrom . import append\nfrom .append import append",
        ),
        ("protocol", "import re\nfrom pydantic import BaseModel\nimport typing_extensions"),
        ("broadcast", "from channels.layers import get_channel_layer"),
        ("bindings__api", "from ninja import NinjaAPI\nfrom django.http import HttpRequest"),
        ("bindings__api", "from a2a_app import operations, __version__"),
        ("checks", "import channels, ninja\nfrom a2a_app import bindings, apps"),
        ("management__commands__a2a_worker", "from a2a_app import bindings"),
        ("agents__base", "from django.db import models"),
        ("layers__connection", "import psycopg, channels\nfrom a2a_app.layers import payloads"),
    ],
)
def test_open_imports_are_open(tmp_path: Path, room: str, source: str) -> None:
    assert check(tmp_path, **{f"a2a_app__{room}": source}) == []


@pytest.mark.parametrize(
    ("room", "source", "fault"),
    [
        (
            "store__rows",
            "from a2a_app.agents import Agent",
            "store/rows.py:1: store may not import agents",
        ),
        ("store", "import a2a_app.feed as f", "store.py:1: store may not import feed"),
        ("store__rows", "from .. import feed", "store/rows.py:1: store may not import feed"),
        ("store__rows", "from ..feed import follow", "store/rows.py:1: store may not import feed"),
        (
            "store____init__",
            "from ..feed import x",
            "store/__init__.py:1: store may not import feed",
        ),
        ("store", "from . import feed", "store.py:1: store may not import feed"),
        ("store", "from .feed import x", "store.py:1: store may not import feed"),
        (
            "broadcast",
            "from a2a_app.models import Task",
            "broadcast.py:1: broadcast may not import models",
        ),
        (
            "bindings__sse",
            "from a2a_app import feed",
            "bindings/sse.py:1: bindings may not import feed",
        ),
        ("bindings", "import a2a_app.store.append", "bindings.py:1: bindings may not import store"),
        (
            "operations",
            "from a2a_app import checks",
            "operations.py:1: operations may not import checks",
        ),
        (
            "__init__",
            "from a2a_app.models import Task",
            "__init__.py:1: a2a_app may not import models",
        ),
        (
            "protocol__base",
            "if True:\n    import django.db",
            "protocol/base.py:2: protocol may not import django: "
            "only pydantic and the standard library",
        ),
        ("agents", "from django.http import X", "agents.py:1: agents may not import django.http"),
        ("agents", "from django import http", "agents.py:1: agents may not import django.http"),
        ("agents", "import ninja", "agents.py:1: agents may not import ninja: only bindings may"),
        (
            "operations",
            "import ninja",
            "operations.py:1: operations may not import ninja: only bindings may",
        ),
        (
            "feed",
            "import channels.layers",
            "feed.py:1: feed may not import channels: only broadcast, layers may",
        ),
        (
            "broadcast",
            "from a2a_app import layers",
            "broadcast.py:1: broadcast may not import layers",
        ),
        (
            "layers__connection",
            "from a2a_app import protocol",
            "layers/connection.py:1: layers may not import protocol",
        ),
        (
            "layers",
            "from a2a_app import __version__",
            "layers.py:1: layers may not import __version__",
        ),
        ("corridor", "", "corridor.py:1: 'corridor' is no room; docs/architecture.md has the list"),
    ],
)
def test_a_closed_import_is_noticed(tmp_path: Path, room: str, source: str, fault: str) -> None:
    assert check(tmp_path, **{f"a2a_app__{room}": source}) == [f"a2a_app/{fault}"]


def test_an_import_inside_a_function_is_checked_all_the_same(tmp_path: Path) -> None:
    source = "async def f():\n    from a2a_app import bindings  # loaded late: it is slow\n"

    assert check(tmp_path, a2a_app__store=source) == [
        "a2a_app/store.py:2: store may not import bindings"
    ]


@pytest.mark.parametrize("comment", ["", "  # noqa: F401", "  # type: ignore[import]", "  #"])
def test_an_import_inside_a_function_needs_a_reason(tmp_path: Path, comment: str) -> None:
    source = f"class A:\n    def f(self):\n        def g():\n            import re{comment}\n"

    assert check(tmp_path, project__views=source) == [
        "project/views.py:4: an import inside a function without a reason beside it"
    ]


@pytest.mark.parametrize("comment", ["# needs the registry", "# noqa: F401 - needs the registry"])
def test_an_import_inside_a_function_is_fine_with_a_reason(tmp_path: Path, comment: str) -> None:
    assert check(tmp_path, a2a_app__apps=f"def f():\n    import re  {comment}\n") == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "misc", "manager", "sse_v2"])
def test_a_name_that_says_nothing_is_noticed(tmp_path: Path, name: str) -> None:
    files = {f"a2a_app__store__{name}": "", f"tests__{name}__test_it": ""}

    assert check(tmp_path, **files) == [
        f"a2a_app/store/{name}.py:1: {name!r} says nothing; which noun is it about?",
        f"tests/{name}/test_it.py:1: {name!r} says nothing; which noun is it about?",
    ]


def test_a_long_file_is_noticed(tmp_path: Path) -> None:
    files = {"tests__short": "\n" * MAX_FILE_LINES, "tests__long": "\n" * (MAX_FILE_LINES + 1)}

    assert check(tmp_path, **files) == ["tests/long.py:351: 351 lines; 350 are the most"]


def test_a_long_function_is_noticed_in_the_app_only(tmp_path: Path) -> None:
    short = "async def short():\n" + "    ...\n" * (MAX_FUNCTION_LINES - 1)
    long = "async def long():\n" + "    ...\n" * MAX_FUNCTION_LINES
    files = {"a2a_app__feed": short + long, "tests__test_it": long}

    assert check(tmp_path, **files) == ["a2a_app/feed.py:41: long has 41 lines; 40 are the most"]


def test_a_migration_may_be_of_any_length(tmp_path: Path) -> None:
    source = "def long():\n" + "    import re\n" * MAX_FILE_LINES

    assert check(tmp_path, **{"a2a_app__migrations__0001_initial": source}) == []


def test_a_short_file_of_the_app_needs_a_reason(tmp_path: Path) -> None:
    check(tmp_path, a2a_app__store__drop="", a2a_app__store____init__="", tests__test_it="")
    for path in tmp_path.rglob("*.py"):
        path.write_text("\n")

    assert faults(tmp_path) == [
        "a2a_app/store/drop.py:1: 1 lines; below 40 tests/layout.py wants a reason"
    ]


def test_a_reason_for_a_short_file_is_about_one_that_is_there() -> None:
    assert [name for name in SHORT_FILES if not (ROOT / "a2a_app" / name).exists()] == []


@pytest.mark.parametrize("first", ["Give", "Gives"])
def test_a_docstring_that_begins_with_give_is_noticed(tmp_path: Path, first: str) -> None:
    source = f'def f():\n    """{first} what is asked for."""\n'

    assert check(tmp_path, a2a_app__feed=source, tests__test_it=source) == [
        f"a2a_app/feed.py:2: a docstring that begins with {first!r}",
        f"tests/test_it.py:2: a docstring that begins with {first!r}",
    ]
