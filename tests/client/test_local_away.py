"""Agents of the same project, while the database is away: that passes, as other outages do."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from a2a_app import database
from a2a_app.agents import Turn
from a2a_app.agents.caller import TurnCaller
from a2a_app.agents.durable.peers import Asking
from a2a_app.client.local import LocalConnection
from a2a_app.database.away import Cause
from a2a_app.protocol import UnavailableError
from a2a_app.testing import agent_for_test

pytestmark = pytest.mark.usefixtures("runtime")


def is_away(work: Callable[[], Any]) -> Any:
    raise database.AwayError(ConnectionError("away"), Cause.BROKEN)


async def test_a_turn_whose_caller_cannot_be_read_asks_again_later() -> None:
    async def billing(turn: Turn) -> None:
        """Refund nothing."""

    asking = Asking(None, TurnCaller.of_owner("auth.group:1", None, "", None, None))
    with (
        agent_for_test(billing, slug="billing") as agent,
        database.performed_by(is_away),
        pytest.raises(UnavailableError),
    ):
        async with asyncio.timeout(20), LocalConnection(agent, asking):
            pass
