"""The other side of the protocol: agents that this project calls, and what comes of a message."""

from a2a_app.agents.answers import Answer, Event, text_of
from a2a_app.client.refusals import RemoteAgentError, UnreachableError
from a2a_app.client.remote import RemoteAgent

__all__ = ["Answer", "Event", "RemoteAgent", "RemoteAgentError", "UnreachableError", "text_of"]
