"""What the specification requires: tests hold each requirement, or the list says why not."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent.parent


def listed(name: str) -> list[dict[str, Any]]:
    """Return the requirements that a file lists."""
    found: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / name).read_text())[
        "requirement"
    ]
    return found


REQUIREMENTS = listed("requirements.toml")
# Of the branch dev-1.1, where that has more than 1.0.
DRAFTED = listed("drafted.toml")
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


@pytest.mark.parametrize("requirement", [*REQUIREMENTS, *DRAFTED], ids=lambda each: each["id"])
def test_a_requirement_is_held_by_tests_or_said_not_to_be(requirement: dict[str, Any]) -> None:
    [answer] = set(requirement) - {"id", "section", "says"}
    assert answer in ("tests", "gap", "not_ours")
    assert requirement[answer] and requirement["says"].endswith(".")
    assert re.fullmatch(r"\d+(\.\d+)*", requirement["section"])
    for test in requirement.get("tests", ()):
        path, _, name = test.partition("::")
        assert name.startswith("test_") and name in functions_of(path), test


@pytest.mark.parametrize("requirements", [REQUIREMENTS, DRAFTED], ids=["1.0", "1.1"])
def test_the_list_names_each_once_in_the_order_of_the_specification(
    requirements: list[dict[str, Any]],
) -> None:
    assert len({each["id"] for each in requirements}) == len(requirements)
    sections = [[int(step) for step in each["section"].split(".")] for each in requirements]
    assert sections == sorted(sections)
    assert {first for first, *_ in sections} <= SECTIONS


def test_each_section_for_a_server_is_listed() -> None:
    assert {int(each["section"].partition(".")[0]) for each in REQUIREMENTS} == SECTIONS


def test_no_gap_is_new() -> None:
    assert {each["id"] for each in [*REQUIREMENTS, *DRAFTED] if "gap" in each} == KNOWN_GAPS
