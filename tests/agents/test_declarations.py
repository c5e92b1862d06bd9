"""What an agent declares: defaults, and impossible values, refused where the agent is made."""

from typing import Any

import pytest

from a2a_app.agents import Agent, Turn
from a2a_app.agents.registry import make_agent


async def run(turn: Turn) -> None: ...


async def travel_desk(turn: Turn) -> None:
    """Plan a trip.

    In as many turns as it takes.
    """


class TravelDesk(Agent):
    """Plan a trip."""

    async def run(self, turn: Turn) -> None: ...


@pytest.mark.parametrize("subject", [travel_desk, TravelDesk])
def test_the_name_and_the_docstring_say_what_is_not_declared(subject: Any) -> None:
    made = make_agent(subject)
    assert (made.name, made.slug) == (subject.__name__, "travel-desk")
    assert made.description == "Plan a trip."
    [skill] = made.skills
    assert (skill.id, skill.name, skill.description) == (made.slug, made.name, made.description)


def test_an_attribute_that_agents_do_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="'colour'"):
        make_agent(run, colour="blue")


@pytest.mark.parametrize("slug", ["Upper", "under_score", "a--b", "-a", "a/b", "ä", "x" * 101])
def test_a_slug_that_does_not_fit_into_a_url_is_refused(slug: str) -> None:
    with pytest.raises(ValueError, match="slug"):
        make_agent(run, slug=slug)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("attempts", 0),
        ("attempts", 11),
        ("time_limit", 0),
        ("time_limit", -1.5),
        ("silence_limit", 0),
    ],
)
def test_a_number_that_is_out_of_bounds_is_refused(attribute: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{attribute} of agent 'run'"):
        make_agent(run, **{attribute: value})


@pytest.mark.parametrize("mode", ["text", "", "text/plain, text/csv/x", "text /plain"])
@pytest.mark.parametrize("attribute", ["input_modes", "output_modes"])
def test_an_agent_cannot_declare_what_is_no_media_type(mode: str, attribute: str) -> None:
    with pytest.raises(ValueError, match="is no media type"):
        make_agent(run, slug="odd", **{attribute: ("text/plain", mode)})


@pytest.mark.parametrize("attribute", ["input_modes", "output_modes"])
def test_an_agent_takes_and_gives_something(attribute: str) -> None:
    with pytest.raises(ValueError, match=f"{attribute} of agent 'run' is empty"):
        make_agent(run, slug="odd", **{attribute: ()})


async def nothing() -> None: ...


def two(turn: Turn, task: object) -> None: ...


async def by_name(*, turn: Turn) -> None: ...


class Forgetful(Agent):
    async def run(self) -> None: ...  # type: ignore[override]  # what is refused


@pytest.mark.parametrize("subject", [nothing, two, by_name, Forgetful, Forgetful()])
def test_what_cannot_be_called_with_a_turn_is_refused_by_its_name(subject: Any) -> None:
    name = "Forgetful.run" if "orgetful" in repr(subject) else subject.__name__
    with pytest.raises(TypeError, match=rf"test_declarations\.{name}\(.*\) cannot run"):
        make_agent(subject)


def any_name(it: Turn, retries: int = 3) -> None: ...


def whatever(*given: Any, **named: Any) -> None: ...


@pytest.mark.parametrize("subject", [any_name, whatever])
def test_the_parameter_for_the_turn_has_any_name(subject: Any) -> None:
    assert make_agent(subject).slug
