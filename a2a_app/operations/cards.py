"""GetExtendedAgentCard (section 3.1.11)."""

from a2a_app import protocol
from a2a_app.agents.cards import extended_card_for
from a2a_app.operations.call import Call


async def get_extended_agent_card(
    call: Call, params: protocol.GetExtendedAgentCardRequest
) -> protocol.AgentCard:
    """Return the agent's card with the parts that only known callers may see (section 13.3)."""
    if not call.agent.has_extended_card:
        raise protocol.UnsupportedOperationError("The agent has no extended card.")
    if call.caller.is_anonymous:
        raise protocol.UnauthenticatedError("The extended card is for known callers only.")
    card = await extended_card_for(call.agent, call.served_at(), call.caller.identity)
    if card is None:
        raise protocol.ExtendedAgentCardNotConfiguredError
    return card
