"""The connection of a client to one agent, wherever that is."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from a2a_app import protocol
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
    extensions: tuple[str, ...] = ()
    """The URIs of the extensions that it activates."""
    current_generation: int | None = None
    """The generation after which a task is waited for, or its stream begins."""
    required_generation: int | None = None
    """The generation that the task must have."""

    @property
    def headers(self) -> dict[str, str]:
        """What it has beside its parameters, as HTTP and gRPC name it."""
        headers = {
            protocol.IDEMPOTENCY_HEADER: self.idempotency_key,
            "Last-Event-ID": self.last_event_id,
            protocol.EXTENSIONS_HEADER: ", ".join(self.extensions),
            **generation_headers(self.current_generation, self.required_generation),
        }
        return {name: value for name, value in headers.items() if value}


def generation_headers(current: int | None, required: int | None) -> dict[str, str]:
    """Return the headers that say after which generation, or at which one, a task is meant."""
    named = {
        protocol.CURRENT_GENERATION_HEADER: current,
        protocol.IF_GENERATION_MATCH_HEADER: required,
    }
    return {name: str(value) for name, value in named.items() if value is not None}


class Connection(ABC):
    """A connection to one agent; use it as an asynchronous context manager."""

    card: AgentCard
    """The agent's card."""
    is_card_kept = False
    """Whether the card is from an earlier connection, and nobody was asked for a newer one."""

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
        return {"service.peer.name": self.card.name}

    def has_extension(self, uri: str) -> bool:
        """Tell whether the card declares an extension."""
        return any(each.uri == uri for each in self.card.capabilities.extensions)
