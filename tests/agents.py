"""Agents that only tests need."""

from a2a_app.agents import AgentExtension, Turn, agent

MIRROR_EXTENSION = "https://example.com/extensions/mirror"


@agent(name="Mirror", extensions=[AgentExtension(uri=MIRROR_EXTENSION)])
async def mirror(turn: Turn) -> None:
    """Gives back what it was told, as data."""
    told = {
        "metadata": dict(turn.metadata),
        "message_metadata": turn.message.metadata,
        "parts": [part.to_dict() for part in turn.message.parts],
        "accepted_output_modes": list(turn.accepted_output_modes),
        "extensions": list(turn.extensions),
    }
    await turn.artifact(told, name="mirror")
