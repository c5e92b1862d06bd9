"""Answers without a task: an agent speaks for itself, and never as its client."""

import pytest

from a2a_app.agents import Agent, Message
from a2a_app.protocol import Role
from a2a_app.testing import agent_for_test
from tests.clients.json_rpc import JsonRpcClient
from tests.clients.ways import WAYS, Way, answers_of, code_of
from tests.wire import message

INVALID = (-32006, "INVALID_AGENT_RESPONSE")


class Parrot(Agent):
    """Answers with the message that it was sent."""

    async def answer(self, message: Message) -> Message:
        """Return the client's message, unless it asks for one of the agent's."""
        role = Role.AGENT if message.text == "yours" else message.role
        return message.model_copy(update={"role": role})


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_answer_in_the_role_of_the_user_is_no_answer(rpc: JsonRpcClient, way: Way) -> None:
    with agent_for_test(Parrot, slug="parrot"):
        params = {"message": message("mine")}
        [refused] = await answers_of(await way.send(rpc, params, agent="parrot"))
        params = {"message": message("yours")}
        [taken] = await answers_of(await way.send(rpc, params, agent="parrot"))
    assert code_of(refused)[0] in INVALID
    assert "ROLE_AGENT" in code_of(refused)[1]
    assert taken.get("message", taken)["role"] in ("ROLE_AGENT", "agent")
