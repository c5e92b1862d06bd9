"""Which tests are fast: those that start no server, as their code says."""

from collections.abc import Callable, Iterator
from inspect import unwrap
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from benchmarks.servers import Server
from tests.cluster import Cluster
from tests.servers import Process, own_postgresql, postgresql_url
from tests.sites import Reader, Site

MARK = "servers"
# Every server of the tests is started by one of these.
STARTERS = [Cluster, Process, Reader, Server, Site, own_postgresql, postgresql_url]
OURS = ("tests", "benchmarks")


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests that name or are given a starter, and those whose fixtures or helpers do."""
    known: dict[int, bool] = {}
    for item in items:
        assert isinstance(item, pytest.Function)
        made = item._fixtureinfo.name2fixturedefs.values()
        fixtures = [definition.func for definitions in made for definition in definitions]
        given = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if any(type(each) in STARTERS for each in given) or any(
            starts(function, known) for function in (item.function, *fixtures)
        ):
            item.add_marker(MARK)


def rank(item: pytest.Item) -> int:
    """Return 0 for a test that starts servers, 1 for another slow one, and 2 for a fast one."""
    marks = {mark.name for mark in item.iter_markers()}
    return 0 if MARK in marks else 1 if marks & {"slow", "hypothesis"} else 2


def starts(function: Callable[..., Any], known: dict[int, bool]) -> bool:
    """Tell whether a function names a starter, or another function of ours that does."""
    code = unwrap(function)
    if not isinstance(code, FunctionType) or not code.__module__.startswith(OURS):
        return False
    if id(code) not in known:
        known[id(code)] = False  # until it is known: functions may call each other
        named = list(_named(code.__code__, code.__globals__))
        known[id(code)] = any(each in STARTERS or starts(each, known) for each in named)
    return known[id(code)]


def _named(code: CodeType, names: dict[str, Any]) -> Iterator[Any]:
    for name in code.co_names:
        found = names.get(name)
        if isinstance(found, ModuleType):
            yield from (vars(found).get(attribute) for attribute in code.co_names)
        elif callable(found):
            yield found
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _named(constant, names)
