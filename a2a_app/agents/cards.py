"""Cards: an agent's declaration and the way it is served, as an AgentCard (section 4.4.1)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from a2a_app import conf
from a2a_app.agents.base import Agent
from a2a_app.agents.extensions import OF_STREAMS
from a2a_app.concurrency.hooks import call_hook
from a2a_app.protocol import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    InvalidAgentResponseError,
    SecurityRequirement,
    SecurityScheme,
)

# Narrow on purpose: each is a form that only secrets have.
SECRETS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a password in a URL": re.compile(r"\w://[^/\s:@\"]+:[^/\s@\"]+@"),
    "a bearer token": re.compile(r"\bBearer (?=\S*\d)[\w.~+/-]{20,}", re.IGNORECASE),
    "an API key": re.compile(
        r"\b(?:sk-(?=\S*\d)[\w-]{20,}|gh[pousr]_\w{36,}|AKIA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}"
        r"|a2a_[0-9a-f]{16}_[\w-]{43})"
    ),
}


def card_faults(card: AgentCard) -> list[str]:
    """List what is wrong with a card, without quoting its content."""
    text = card.to_json()
    secrets = [f"holds {kind}" for kind, pattern in SECRETS.items() if pattern.search(text)]
    return [*secrets, *dict.fromkeys(_unknown_schemes(card))]


def _unknown_schemes(card: AgentCard) -> Iterator[str]:
    requirements = [*card.security_requirements]
    for skill in card.skills:
        requirements += skill.security_requirements
    for requirement in requirements:
        for name in requirement.schemes:
            if name not in card.security_schemes:
                yield f"requires the security scheme {name!r}, which it does not have"


@dataclass(frozen=True, slots=True)
class ServedAt:
    """How an agent is served: the content of its card that the agent itself does not know."""

    interfaces: Sequence[AgentInterface] = ()
    """The URLs and bindings by which it is reached, the preferred one first."""
    security_schemes: Mapping[str, SecurityScheme] = field(default_factory=dict)
    """How callers may authenticate, by name."""
    security_requirements: Sequence[SecurityRequirement] = ()
    """What callers need: any one of these."""
    keys_url: str = ""
    """The URL of the public keys that check signatures of the card."""
    can_stream: bool = True
    """Whether the server can send streams, which those that speak WSGI cannot."""


async def card_for(agent: Agent, served: ServedAt, caller: Any) -> AgentCard:
    """Return an agent's card as a caller may see it.

    Args:
        agent: The agent.
        served: How it is served.
        caller: The value that the authenticator returned. None: the caller is not known.

    Raises:
        InvalidAgentResponseError: The agent's method `card` did not return a card.
    """
    return _signed(await unsigned_card_for(agent, served, caller), served)


async def extended_card_for(agent: Agent, served: ServedAt, caller: Any) -> AgentCard | None:
    """Return an agent's extended card for a known caller; None if it has none for that caller.

    Raises:
        InvalidAgentResponseError: The agent's method did not return a card.
    """
    card = await unsigned_card_for(agent, served, caller)
    skills = [*card.skills, *agent.extended_skills]
    extended = await _ask(agent.extended_card, card.model_copy(update={"skills": skills}), caller)
    return None if extended is None else _signed(_checked(extended), served)


async def unsigned_card_for(agent: Agent, served: ServedAt, caller: Any) -> AgentCard:
    """Return an agent's card as `card_for` does, without the signature."""
    card = agent_card(agent, served)
    if agent.has_card_for_caller:
        card = _checked(await _ask(agent.card, card, caller))
    return card


def _signed(card: AgentCard, served: ServedAt) -> AgentCard:
    if not conf.current().signing_key:
        return card
    from a2a_app.agents import signing  # loaded here: its libraries come with the extra `signing`

    return signing.sign(card, served.keys_url)


async def _ask(hook: Callable[..., Any], card: AgentCard, caller: Any) -> Any:
    # A deep copy: changes to the card for one caller must not reach the next caller.
    return await call_hook(hook, card.model_copy(deep=True), caller)


def _checked(returned: Any) -> AgentCard:
    if not isinstance(returned, AgentCard):
        raise InvalidAgentResponseError(f"The agent gave {type(returned).__name__}, not a card.")
    return returned


def agent_card(agent: Agent, served: ServedAt) -> AgentCard:
    """Make an agent's card, which promises only what is served."""
    requirements = agent.security_requirements
    return AgentCard(
        name=agent.name,
        description=agent.description,
        supported_interfaces=list(served.interfaces),
        provider=agent.provider,
        version=agent.version,
        documentation_url=agent.documentation_url,
        capabilities=AgentCapabilities(
            streaming=agent.streaming and served.can_stream,
            push_notifications=agent.push_notifications,
            extensions=[
                each
                for each in agent.declared_extensions
                if served.can_stream or each not in OF_STREAMS
            ],
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
