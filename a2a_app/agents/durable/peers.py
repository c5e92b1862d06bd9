"""Peers: other agents, as a turn asks them. The room of the client has them, and comes later."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from a2a_app.agents.answers import Answer
from a2a_app.protocol import Message

DEPTH = "urn:a2a-app:call-depth:v1"
"""Under this name the metadata of a request says how many turns have led to it, one by another."""


class PeerAwayError(Exception):
    """There is no connection to another agent at present. What was asked may have got there."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A turn that asks another agent."""

    asked: UUID | None
    """The key of what it asks, in the models; None: it only looks, or cancels."""
    by: Any
    """Who asks an agent of the same project: the turn's own caller, a `TurnCaller`, or what an
    authenticator returns."""
    tenant: str = ""
    """The key of the turn's tenant, in which it asks. A `TurnCaller` has its own."""


class Peer(Protocol):
    """Another agent, of this project or elsewhere, to which there is a connection."""

    @abstractmethod
    def ask(
        self,
        message: Message,
        *,
        key: str,
        metadata: Mapping[str, Any],
        accepted_output_modes: Sequence[str],
    ) -> AsyncGenerator[Answer, None]:
        """Send a message, once for each key, and yield what comes until the task rests or ends.

        Raises:
            A2AError: The agent refuses.
            PeerAwayError: There is no connection.
            RemoteAgentError: It does not speak the protocol.
        """

    @abstractmethod
    def follow(self, task_id: str) -> AsyncGenerator[Answer, None]:
        """Yield a task as it is and what comes after. The errors are those of `ask`."""

    @abstractmethod
    async def look_at(self, task_id: str) -> Answer:
        """Return a task as it is, without its history. The errors are those of `ask`."""

    @abstractmethod
    async def call_us(self, task_id: str, asked: UUID) -> bool:
        """Ask the agent to tell us by a webhook what becomes of a task.

        Args:
            task_id: The task.
            asked: The key of what was asked.

        Returns:
            Whether it will. False: it has no webhooks, or we have no URL. The errors are those of
            `ask`.
        """

    @abstractmethod
    async def cancel(self, task_id: str) -> None:
        """Cancel a task. The errors are those of `ask`."""


class Peers(Protocol):
    """All other agents."""

    @abstractmethod
    def is_local(self, agent: str) -> bool:
        """Tell whether an agent, by its name or URL, is one of this project."""

    @abstractmethod
    def connect(self, agent: str, asking: Asking) -> AbstractAsyncContextManager[Peer]:
        """Connect to an agent, by its slug, its name in REMOTE_AGENTS, or its URL.

        The errors of entering are those of `Peer.ask`.
        """


_known: list[Peers] = []


def install(peers: Peers) -> None:
    """Let turns ask these agents, in place of those before."""
    _known[:] = [peers]


def peers() -> Peers:
    """Return the agents that turns may ask."""
    return _known[-1]
