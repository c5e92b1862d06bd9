"""The registry: one agent for each slug, and the one that is the site's."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from a2a_app.agents import Agent, Turn, agent
from a2a_app.agents.registry import AgentNotFoundError, Registry, make_agent, registry
from a2a_app.database.values import new_key
from tests.conftest import ChangeSettings


async def one(turn: Turn) -> None: ...


async def other(turn: Turn) -> None: ...


class Written(Agent):
    async def run(self, turn: Turn) -> None: ...


def registry_of(*slugs: str) -> Registry:
    made = Registry()
    for slug in slugs:
        made.register(make_agent(one, slug=slug))
    return made


def test_two_agents_of_one_slug_are_refused_and_both_are_named() -> None:
    made = registry_of("same")
    with pytest.raises(ValueError, match=r"'same'.*\.one .*\.other"):
        made.register(make_agent(other, slug="same"))
    assert made.slugs() == ["same"]


def test_an_agent_may_be_registered_again_as_when_its_module_is_read_again() -> None:
    assert registry_of("same", "same").slugs() == ["same"]


def test_an_agent_is_registered_with_and_without_parentheses() -> None:
    with registry.registered():
        before = set(registry.slugs())
        assert agent(one) is one
        assert agent(slug="another")(other) is other
        assert agent(Written) is Written
        assert set(registry.slugs()) - before == {"one", "another", "written"}


@pytest.mark.parametrize("subject", ["Echo", 7, Turn])
def test_what_is_neither_a_function_nor_an_agent_is_refused(subject: Any) -> None:
    with pytest.raises(
        TypeError, match=r"a function, a subclass of Agent or an instance.*@agent\(name="
    ):
        agent(subject)


AGENTS = """
from a2a_app.agents import Agent, agent

@agent{first}
async def parrot(turn): ...

@agent{second}
async def parrot(turn): ...
"""
CLASSES = """
from a2a_app.agents import Agent, agent

@agent()
class Parrot(Agent):
    async def run(self, turn): ...

@agent()
class Parrot(Agent):
    async def run(self, turn): ...
"""


INSTANCES = """
from a2a_app.agents import Agent, agent

class Parrot(Agent):
    async def run(self, turn): ...

agent(Parrot(), slug="parrot")

agent(Parrot(), slug="parrot")
"""


@pytest.fixture
def read_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Read a module of agents, as Django reads an app's; one that was read is read again."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"agents_{new_key().hex}.py"

    def read(source: str) -> Path:
        path.write_text(source)
        known = sys.modules.get(path.stem)
        importlib.import_module(path.stem) if known is None else importlib.reload(known)
        return path

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return read


@pytest.mark.parametrize(
    ("source", "places"),
    [
        (AGENTS.format(first="", second="()"), (4, 7)),
        (CLASSES, (5, 9)),
        (INSTANCES, (7, 9)),
    ],
)
def test_two_agents_of_one_name_in_one_module_are_refused_and_both_places_named(
    tmp_path: Path, read_module: Callable[[str], Path], source: str, places: tuple[int, int]
) -> None:
    with registry.registered(), pytest.raises(ValueError, match="slug 'parrot'") as caught:
        read_module(source)
    named = re.findall(rf"{tmp_path}/agents_\w+\.py, line (\d+)", str(caught.value))
    lines = [int(line) for line in named]
    assert [abs(line - place) <= 1 for line, place in zip(lines, places, strict=True)] == [True] * 2


def test_a_module_that_is_read_again_replaces_its_agents(
    read_module: Callable[[str], Path],
) -> None:
    # Of one name, and of two slugs.
    source = AGENTS.format(first="", second="(slug='two')")
    with registry.registered():
        read_module(source)
        before = [registry.get(slug) for slug in ("parrot", "two")]
        read_module(f"# moved\n{source}")
        after = [registry.get(slug) for slug in ("parrot", "two")]
    assert all(new is not old for new, old in zip(after, before, strict=True))


def test_an_instance_may_be_declared_twice_and_is_replaced_where_its_module_is_read_again(
    read_module: Callable[[str], Path],
) -> None:
    source = """
from a2a_app.agents import Agent, agent

class Parrot(Agent):
    async def run(self, turn): ...

parrot = agent(Parrot(), name="Polly", description="Speaks.")
agent(parrot, name="Polly, thrice", slug="thrice", attempts=3)
"""
    with registry.registered():
        read_module(source)
        before = [registry.get(slug) for slug in ("polly", "thrice")]
        read_module(f"# moved\n{source}")
        after = [registry.get(slug) for slug in ("polly", "thrice")]
    assert all(new is not old for new, old in zip(after, before, strict=True))
    assert [(each.name, each.attempts) for each in after] == [("Polly", 1), ("Polly, thrice", 3)]


def test_an_agent_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(AgentNotFoundError):
        registry_of("one").get("other")


def test_the_agent_of_the_site_is_the_only_one_or_that_of_the_setting(a2a: ChangeSettings) -> None:
    a2a(DEFAULT_AGENT="")
    assert registry_of("only").default().slug == "only"
    with pytest.raises(AgentNotFoundError, match="DEFAULT_AGENT"):
        registry_of("one", "other").default()
    a2a(DEFAULT_AGENT="other")
    assert registry_of("one", "other").default().slug == "other"


def test_an_agent_for_a_while_stands_in_for_another_of_its_slug() -> None:
    made = registry_of("same")
    before = made.get("same")
    with made.registered(make_agent(other, slug="same"), make_agent(other, slug="new")):
        assert made.get("same") is not before
        assert made.slugs() == ["same", "new"]
    assert made.get("same") is before
    assert made.slugs() == ["same"]
