"""Extensions: what an agent's card promises beyond the protocol (section 4.6.1)."""

from a2a_app.agents.base import Agent
from a2a_app.protocol import AgentExtension

STREAM_RESUMPTION = AgentExtension(
    uri="urn:a2a-app:stream-resumption:v1",
    description="A stream that broke off goes on after the event that Last-Event-ID names.",
)


def declared_extensions(agent: Agent) -> list[AgentExtension]:
    """Give the agent's own extensions, and those that this server gives to every such agent."""
    return [*agent.extensions, *([STREAM_RESUMPTION] if agent.streaming else [])]
