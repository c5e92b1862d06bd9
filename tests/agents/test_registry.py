"""The registry: one agent for each slug, and the one that is the site's."""

import pytest

from a2a_app.agents import Turn
from a2a_app.agents.registry import AgentNotFoundError, Registry, make_agent
from tests.conftest import ChangeSettings


async def one(turn: Turn) -> None: ...


async def other(turn: Turn) -> None: ...


def registry_of(*slugs: str) -> Registry:
    made = Registry()
    for slug in slugs:
        made.register(make_agent(one, slug=slug))
    return made


def test_two_agents_of_one_slug_are_refused_and_both_are_named() -> None:
    registry = registry_of("same")
    with pytest.raises(ValueError, match=r"'same'.*\.one .*\.other"):
        registry.register(make_agent(other, slug="same"))
    assert registry.slugs() == ["same"]


def test_an_agent_may_be_registered_again_as_when_its_module_is_read_again() -> None:
    registry = registry_of("same", "same")
    assert registry.slugs() == ["same"]


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
    registry = registry_of("same")
    before = registry.get("same")
    with registry.registered(make_agent(other, slug="same"), make_agent(other, slug="new")):
        assert registry.get("same") is not before
        assert registry.slugs() == ["same", "new"]
    assert registry.get("same") is before
    assert registry.slugs() == ["same"]
