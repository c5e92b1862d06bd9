"""Extensions: what an agent's card promises beyond the protocol (section 4.6.1)."""

from a2a_app.agents.base import Agent
from a2a_app.protocol import AgentExtension

STREAM_RESUMPTION = AgentExtension(
    uri="urn:a2a-app:stream-resumption:v1",
    description="A stream that broke off goes on after the event that Last-Event-ID names.",
)

IDEMPOTENT_SENDING = AgentExtension(
    uri="urn:a2a-app:idempotent-sending:v1",
    description="A message sent again under the same Idempotency-Key is not taken twice.",
)
# For agents that know a message by its own id too.
_BY_MESSAGE_ID = IDEMPOTENT_SENDING.model_copy(update={"params": {"messageId": True}})


def declared_extensions(agent: Agent) -> list[AgentExtension]:
    """Give the agent's own extensions, and those that this server gives to every such agent."""
    sending = _BY_MESSAGE_ID if agent.idempotent else IDEMPOTENT_SENDING
    resumption = [STREAM_RESUMPTION] if agent.streaming else []
    return [*agent.extensions, *resumption, sending]
