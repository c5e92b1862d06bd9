"""What an agent declares: an impossible value is refused where the agent is made."""

import pytest

from a2a_app.agents import Turn
from a2a_app.agents.registry import make_agent


async def run(turn: Turn) -> None: ...


@pytest.mark.parametrize("mode", ["text", "", "text/plain, text/csv/x", "text /plain"])
@pytest.mark.parametrize("attribute", ["input_modes", "output_modes"])
def test_an_agent_cannot_declare_what_is_no_media_type(mode: str, attribute: str) -> None:
    with pytest.raises(ValueError, match="is no media type"):
        make_agent(run, slug="odd", **{attribute: ("text/plain", mode)})


@pytest.mark.parametrize("attribute", ["input_modes", "output_modes"])
def test_an_agent_takes_and_gives_something(attribute: str) -> None:
    with pytest.raises(ValueError, match=f"{attribute} of agent 'run' is empty"):
        make_agent(run, slug="odd", **{attribute: ()})
