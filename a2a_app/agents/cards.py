"""Cards: what an agent declares and how it is served, as an AgentCard (section 4.4.1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from a2a_app import conf
from a2a_app.agents.base import Agent
from a2a_app.agents.extensions import declared_extensions
from a2a_app.hooks import ask
from a2a_app.protocol import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    InvalidAgentResponseError,
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
    keys_url: str = ""
    """Where clients find the keys that signatures are checked with."""


async def card_for(agent: Agent, served: Served, caller: Any) -> AgentCard:
    """Give an agent's card as a caller may see it.

    Args:
        agent: Whose card it is.
        served: How it is served.
        caller: What the authenticator gave; None: nobody known.

    Raises:
        InvalidAgentResponseError: What the agent gave is no card.
    """
    return _signed(await _unsigned(agent, served, caller), served)


async def extended_card_for(agent: Agent, served: Served, caller: Any) -> AgentCard | None:
    """Give an agent's extended card for a known caller, None where it has none for that caller.

    Raises:
        InvalidAgentResponseError: What the agent gave is no card.
    """
    card = await _unsigned(agent, served, caller)
    more = [*card.skills, *agent.extended_skills]
    given = await _ask(agent.extended_card, card.model_copy(update={"skills": more}), caller)
    return None if given is None else _signed(_checked(given), served)


async def _unsigned(agent: Agent, served: Served, caller: Any) -> AgentCard:
    card = agent_card(agent, served)
    if agent.has_card_of_callers:
        card = _checked(await _ask(agent.card, card, caller))
    return card


def _signed(card: AgentCard, served: Served) -> AgentCard:
    if not conf.current().signing_key:
        return card
    from a2a_app.agents import signing  # loaded here: its libraries come with the extra `signing`

    return signing.sign(card, served.keys_url)


async def _ask(hook: Callable[..., Any], card: AgentCard, caller: Any) -> Any:
    # A copy in depth: what one caller's card is changed to must not be seen by the next caller.
    return await ask(hook, card.model_copy(deep=True), caller)


def _checked(given: Any) -> AgentCard:
    if not isinstance(given, AgentCard):
        raise InvalidAgentResponseError(f"The agent gave {type(given).__name__}, not a card.")
    return given


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
            push_notifications=agent.push_notifications,
            extensions=declared_extensions(agent),
            extended_agent_card=agent.has_extended_card,
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
