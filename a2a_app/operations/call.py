"""Call: one use of an operation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from a2a_app import protocol
from a2a_app.agents import Agent
from a2a_app.agents.cards import ServedAt, declared_extensions
from a2a_app.files.links import Links
from a2a_app.models.owners import Scope, owner_in


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    owner: str
    """The caller's own name, of any length; empty: nobody known."""
    user_id: int | str | None = None
    """The Django user's primary key, where there is one."""
    identity: Any = field(default=None, compare=False)
    """What the authenticator gave: a Django user, or whatever stands for the caller."""

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody knows who asks."""
        return not self.owner


@dataclass(frozen=True, slots=True)
class Call:
    """One use of an operation: of which agent, by whom, and with which service parameters."""

    agent: Agent
    caller: Caller
    tenant: str = ""
    """The tenant that the client named, where the project resolves them (section 4.4.6)."""
    tenant_key: str = ""
    """What keeps that tenant's tasks apart from all others'."""
    extensions: tuple[str, ...] = ()
    """The agent's extensions that the client activated (section 4.6)."""
    last_event_id: str = ""
    """Where a stream that broke off is to go on: the number of the last event that was seen."""
    idempotency_key: str = ""
    """What a message is known by, so that it is not taken twice."""
    push_payload: str = ""
    """What webhooks of this caller get, by its name in `push.payloads`; empty: events."""
    served: Callable[[], ServedAt] = ServedAt
    """Gives how the agent is served, for its card; few operations ask."""

    base_url: Callable[[], str] = str
    """Gives the scheme and host that the client reaches, for the links to files."""

    @property
    def links(self) -> Links:
        """What puts links to the caller's files into what goes out."""
        return Links(self.scope.owner, self.base_url)

    @property
    def scope(self) -> Scope:
        """What the caller may see."""
        return Scope(self.agent.slug, owner_in(self.tenant_key, self.caller.owner))


def activated_extensions(agent: Agent, asked_for: list[str]) -> tuple[str, ...]:
    """Give those of the card's extensions that the client asked for (section 4.6.3).

    Raises ExtensionSupportRequiredError where one that the agent requires is missing.
    """
    declared = declared_extensions(agent)
    for extension in declared:
        if extension.required and extension.uri not in asked_for:
            raise protocol.ExtensionSupportRequiredError(
                f"The agent requires the extension {extension.uri}: name it in the header "
                f"{protocol.EXTENSIONS_HEADER}.",
                uri=extension.uri,
            )
    return tuple(each.uri for each in declared if each.uri in asked_for)
