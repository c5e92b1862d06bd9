"""The extended card (sections 3.1.11 and 13.3): which callers get it, and what is in it."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from a2a_app.agents import Agent, AgentCard, AgentSkill, Turn
from a2a_app.testing import agent_for_test
from tests.bindings import authenticators, users
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of
from tests.conftest import ChangeSettings
from tests.wire import HEADERS, envelope

METHOD = "GetExtendedAgentCard"
CARD = "/a2a/more/.well-known/agent-card.json"
SECRET = AgentSkill(id="secret", name="Secret", description="Not for all.", tags=["secret"])


class More(Agent):
    """Has more for some."""

    async def extended_card(self, card: AgentCard, caller: Any) -> AgentCard | None:
        if caller.username == "bob":
            return None
        card.skills[0].description = f"For {caller.username}."
        return card

    async def run(self, turn: Turn) -> None: ...


class Blocking(Agent):
    """Asks the database, as code without async may."""

    def extended_card(self, card: AgentCard, caller: Any) -> AgentCard:
        card.description = f"One of {User.objects.count()}."
        return card

    def run(self, turn: Turn) -> None: ...


class Wrong(More):
    """Returns an object that is no card."""

    async def extended_card(self, card: AgentCard, caller: Any) -> Any:
        return card.to_dict()


async def answer(turn: Turn) -> None: ...


@pytest.fixture
async def known(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(ANONYMOUS="share", AUTHENTICATION=[f"{users.__name__}.by_username"])
    for name in ("ann", "bob"):
        await sync_to_async(User.objects.create)(username=name)


async def ask(rpc: JsonRpcClient, user: str, agent: str = "more") -> dict[str, Any]:
    return await rpc.call(METHOD, {}, agent=agent, X_User=user)


async def test_known_callers_get_more_than_the_card_has(known: None, rpc: JsonRpcClient) -> None:
    with agent_for_test(answer, slug="more", extended_skills=[SECRET]):
        public = body_of(await rpc.http.get(CARD, headers=HEADERS))
        assert public["capabilities"]["extendedAgentCard"] is True
        card = (await ask(rpc, "ann"))["result"]
    assert card == {**public, "skills": [*public["skills"], SECRET.to_dict()]}


async def test_it_needs_credentials_also_where_anonymous_callers_share(
    a2a: ChangeSettings, known: None, rpc: JsonRpcClient
) -> None:
    paths = [f"{users.__name__}.by_username", f"{authenticators.__name__}.Bearer"]
    with agent_for_test(answer, slug="more", extended_skills=[SECRET]):
        a2a(AUTHENTICATION=paths)
        response = await rpc.post(envelope(METHOD, {}), path="/a2a/more/")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="a2a"'
    assert error_of(body_of(response)) == (-32050, "UNAUTHENTICATED")


async def test_an_agent_without_one_says_so_and_refuses(known: None, rpc: JsonRpcClient) -> None:
    with agent_for_test(answer, slug="more"):
        public = body_of(await rpc.http.get(CARD, headers=HEADERS))
        assert public["capabilities"]["extendedAgentCard"] is False
        for user in ("", "ann"):
            assert error_of(await ask(rpc, user)) == (-32004, "UNSUPPORTED_OPERATION")


async def test_the_agent_decides_what_each_caller_gets(known: None, rpc: JsonRpcClient) -> None:
    with agent_for_test(More, slug="more"):
        public = body_of(await rpc.http.get(CARD, headers=HEADERS))
        hers = (await ask(rpc, "ann"))["result"]
        assert hers["skills"][0]["description"] == "For ann."
        none = await ask(rpc, "bob")
        assert error_of(none) == (-32007, "EXTENDED_AGENT_CARD_NOT_CONFIGURED")
        assert body_of(await rpc.http.get(CARD, headers=HEADERS)) == public


async def test_an_agent_may_use_the_database_for_it(known: None, rpc: JsonRpcClient) -> None:
    with agent_for_test(Blocking, slug="more"):
        assert (await ask(rpc, "ann"))["result"]["description"] == "One of 2."


async def test_an_extended_card_that_is_no_card_is_an_error(
    known: None, rpc: JsonRpcClient
) -> None:
    with agent_for_test(Wrong, slug="more"):
        assert error_of(await ask(rpc, "ann")) == (-32006, "INVALID_AGENT_RESPONSE")
