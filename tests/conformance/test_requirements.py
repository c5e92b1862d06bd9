"""What the specification requires: tests hold each requirement, or the list says why not."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent.parent
REQUIREMENTS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "requirements.toml").read_text()
)["requirement"]
# A new gap must not come unseen: it is added here too.
KNOWN_GAPS = {"version-empty"}
# The sections for a server: 6 is examples, 12 is about bindings of one's own.
SECTIONS = {3, 4, 5, 7, 8, 9, 10, 11, 13}


@cache
def functions_of(path: str) -> set[str]:
    """Name the functions of a file of tests."""
    tree = ast.parse((TESTS / path).read_text())
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda each: each["id"])
def test_a_requirement_is_held_by_tests_or_said_not_to_be(requirement: dict[str, Any]) -> None:
    [answer] = set(requirement) - {"id", "section", "says"}
    assert answer in ("tests", "gap", "not_ours")
    assert requirement[answer] and requirement["says"].endswith(".")
    assert re.fullmatch(r"\d+(\.\d+)*", requirement["section"])
    for test in requirement.get("tests", ()):
        path, _, name = test.partition("::")
        assert name.startswith("test_") and name in functions_of(path), test


def test_the_list_names_each_once_in_the_order_of_the_specification() -> None:
    assert len({each["id"] for each in REQUIREMENTS}) == len(REQUIREMENTS)
    sections = [[int(step) for step in each["section"].split(".")] for each in REQUIREMENTS]
    assert sections == sorted(sections)
    assert {first for first, *_ in sections} == SECTIONS


def test_no_gap_is_new() -> None:
    assert {each["id"] for each in REQUIREMENTS if "gap" in each} == KNOWN_GAPS
