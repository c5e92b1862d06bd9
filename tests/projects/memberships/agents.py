"""An agent that knows whom it talks to."""

from collections.abc import AsyncIterator

from a2a_app.agents import Turn, agent


@agent(name="Greeter")
async def greeter(turn: Turn) -> AsyncIterator[str]:
    """Greet a member."""
    yield f"Hello {turn.user.email}"
