"""Operations whose capability no agent has here: the errors that section 3.3.4 asks for."""

from typing import NoReturn

from a2a_app import protocol
from a2a_app.operations.call import Call


async def get_extended_agent_card(
    call: Call, params: protocol.GetExtendedAgentCardRequest
) -> NoReturn:
    """Refuse to give an extended card."""
    raise protocol.UnsupportedOperationError("The agent has no extended card.")
