"""Cards: what an agent declares, as the protocol's AgentCard (section 4.4.1)."""

from collections.abc import Sequence

from a2a_app.agents.base import Agent
from a2a_app.protocol import AgentCapabilities, AgentCard, AgentInterface


def agent_card(agent: Agent, interfaces: Sequence[AgentInterface]) -> AgentCard:
    """Make an agent's card: only what is served is promised.

    Args:
        agent: Whose card it is.
        interfaces: Where it is reached, the preferred first.
    """
    return AgentCard(
        name=agent.name,
        description=agent.description,
        supported_interfaces=list(interfaces),
        provider=agent.provider,
        version=agent.version,
        documentation_url=agent.documentation_url,
        capabilities=AgentCapabilities(
            streaming=agent.streaming,
            push_notifications=agent.push_notifications,
            extensions=list(agent.extensions),
            extended_agent_card=False,
        ),
        default_input_modes=list(agent.input_modes),
        default_output_modes=list(agent.output_modes),
        skills=list(agent.skills),
        icon_url=agent.icon_url,
    )
