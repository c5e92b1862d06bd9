"""docs/promises.md: each rule that is cited is there, and each has tests that exist."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.servers import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text()
RULES = dict(re.findall(r"^## (R\d+): [^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
CITATION = re.compile(r"\bR\d{1,2}\b")
CITING = ["a2a_app", "project", "tests", "benchmarks", "docs"]
KINDS = {".py", ".md", ".toml", ".html"}
TEST = re.compile(r"^ {4}- `([\w/]+\.py)::(\w+)`$", re.MULTILINE)


def citations() -> Iterator[tuple[str, str]]:
    """Yield each rule that a file cites, with the file."""
    for path in (path for top in CITING for path in (ROOT / top).rglob("*")):
        if path.suffix in KINDS:
            for rule in CITATION.findall(path.read_text()):
                yield rule, path.relative_to(ROOT).as_posix()


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names of the tests that a file defines, also those in classes."""
    if not path.exists():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(n.name for n in nodes if isinstance(n, functions) and n.name[:5] == "test_")


def files_with(test: str) -> list[str]:
    """List the files that define a test of this name, for the message of a failure."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path.relative_to(ROOT).as_posix() for path in paths if test in names_in(path)]


@pytest.mark.slow
def test_every_rule_that_is_cited_is_on_the_page() -> None:
    cited = set(citations())
    assert len(cited) > len(RULES)
    assert [citation for citation in sorted(cited) if citation[0] not in RULES] == []


def test_the_rules_are_numbered_and_each_has_its_anchor() -> None:
    assert list(RULES) == [f"R{number}" for number in range(1, len(RULES) + 1)]
    assert re.findall(r'^<a id="(\w+)"></a>$', PAGE, re.MULTILINE) == [r.lower() for r in RULES]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_names_tests_that_exist(rule: str) -> None:
    tests = TEST.findall(RULES[rule])
    assert len(tests) == RULES[rule].count("::") > 0
    missing = {test: path for path, test in tests if test not in names_in(ROOT / path)}
    assert {test: (path, "is in", files_with(test)) for test, path in missing.items()} == {}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_names_the_code_that_keeps_it(rule: str) -> None:
    [kept] = re.findall(r"^- Kept in: (.*)$", RULES[rule], re.MULTILINE)
    paths = re.findall(r"`([^`]+)`", kept)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
