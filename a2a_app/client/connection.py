"""The connection of a client to one agent, wherever that is."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from a2a_app.agents.answers import Event
from a2a_app.protocol import AgentCard, Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to an agent."""

    operation: str
    """The name of the operation in 1.0."""
    params: Model
    idempotency_key: str = ""
    """The key under which a message may be sent again."""
    last_event_id: str = ""
    """The number of the last event that was seen of a stream that broke off."""


class Connection(ABC):
    """A connection to one agent; use it as an asynchronous context manager."""

    card: AgentCard
    """The agent's card."""

    async def __aenter__(self) -> "Connection":
        """Connect, as far as that is done before the first request."""
        return self

    async def __aexit__(self, *_: Any) -> None:  # noqa: B027  # one that opens nothing closes nothing
        """Close what is open."""

    @abstractmethod
    async def ask(self, request: Request) -> dict[str, Any]:
        """Return the result of an operation, in the JSON of 1.0.

        Raises:
            A2AError: The agent refuses.
            UnreachableError: There is no connection to it, or it broke off.
            RemoteAgentError: It does not speak the protocol.
        """

    @abstractmethod
    def open(self, request: Request) -> AsyncGenerator[Event, None]:
        """Yield the events of a stream. The errors are those of `ask`."""

    @property
    def about(self) -> dict[str, Any]:
        """What spans say of where it leads, in the words of OpenTelemetry's conventions."""
        return {"rpc.service": self.card.name}

    def has_extension(self, uri: str) -> bool:
        """Tell whether the card declares an extension."""
        return any(each.uri == uri for each in self.card.capabilities.extensions)
