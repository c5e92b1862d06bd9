"""Cards: what an agent declares and how it is served, as an AgentCard (section 4.4.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from a2a_app.agents.base import Agent
from a2a_app.protocol import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    SecurityRequirement,
    SecurityScheme,
)


@dataclass(frozen=True, slots=True)
class Served:
    """How an agent is served: what its card says that the agent itself does not know."""

    interfaces: Sequence[AgentInterface] = ()
    """Where it is reached, the preferred first."""
    security_schemes: Mapping[str, SecurityScheme] = field(default_factory=dict)
    """How callers may authenticate, by name."""
    security_requirements: Sequence[SecurityRequirement] = ()
    """What callers need: any one of these."""


def agent_card(agent: Agent, served: Served) -> AgentCard:
    """Make an agent's card: only what is served is promised."""
    requirements = agent.security_requirements
    return AgentCard(
        name=agent.name,
        description=agent.description,
        supported_interfaces=list(served.interfaces),
        provider=agent.provider,
        version=agent.version,
        documentation_url=agent.documentation_url,
        capabilities=AgentCapabilities(
            streaming=agent.streaming,
            push_notifications=False,
            extensions=list(agent.extensions),
            extended_agent_card=False,
        ),
        security_schemes={**served.security_schemes, **agent.security_schemes},
        security_requirements=list(
            served.security_requirements if requirements is None else requirements
        ),
        default_input_modes=list(agent.input_modes),
        default_output_modes=list(agent.output_modes),
        skills=list(agent.skills),
        icon_url=agent.icon_url,
    )
