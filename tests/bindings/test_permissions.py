"""Permissions: a known caller that lacks one is told so (section 3.3.2)."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from a2a_app import models
from a2a_app.agents import Agent, AgentCard, Message, Tenant, registry
from a2a_app.agents.registry import make_agent
from tests.bindings import users
from tests.clients.http_json import HttpJsonClient, json_of, refusal_of
from tests.clients.json_rpc import JsonRpcClient, bad_fields, body_of, error_of
from tests.clients.ways import WAYS, Way
from tests.conftest import ChangeSettings
from tests.wire import envelope, message

DENIED = (-32051, "PERMISSION_DENIED")
LACKS = "The scope a2a is missing."
WHO = users.__name__


async def by_scope(request: HttpRequest) -> None:
    """Know the caller that the header X-User names, and refuse it."""
    if request.headers.get("X-User"):
        raise PermissionDenied(LACKS)


def of_nobody(request: HttpRequest, tenant: str, caller: Any) -> Tenant:
    """Let nobody in, and not say why."""
    raise PermissionDenied


class Guarded(Agent):
    """Refuses."""

    async def answer(self, message: Message) -> str:
        """Refuse to answer."""
        raise PermissionDenied(LACKS)

    def extended_card(self, card: AgentCard, caller: Any) -> AgentCard:
        """Refuse the card."""
        raise PermissionDenied(LACKS)


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_an_authenticator_that_knows_a_caller_may_refuse_it(
    a2a: ChangeSettings, rpc: JsonRpcClient, way: Way
) -> None:
    # The next authenticator is not asked, and the caller does not count as nobody.
    a2a(ANONYMOUS="share", AUTHENTICATION=[f"{__name__}.by_scope", f"{WHO}.by_name"])
    response = await way.send(rpc, {"message": message()}, agent="echo", X_User="ann")
    assert response.status_code == 403
    assert "WWW-Authenticate" not in response
    if way.binding == "jsonrpc":
        answer = body_of(response)
        assert error_of(answer) == DENIED
        assert answer["error"]["message"] == LACKS
    elif way.version == "1.0":
        assert refusal_of(response) == (403, "PERMISSION_DENIED")
    else:
        assert (json_of(response)["code"], json_of(response)["message"]) == (DENIED[0], LACKS)
    assert not await sync_to_async(models.Context.objects.exists)()


class ForEach(Agent):
    """Has another card for each caller."""

    def card(self, card: AgentCard, caller: Any) -> AgentCard:
        """Return the card."""
        return card


async def test_an_authenticator_that_knows_a_caller_may_refuse_it_the_card(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.by_scope"])
    with registry.registered(make_agent(ForEach, slug="each")):
        path = "/a2a/each/.well-known/agent-card.json"
        response = await rpc.http.get(path, headers={"X-User": "ann"})
    assert refusal_of(response) == (403, "PERMISSION_DENIED")
    assert json_of(response)["error"]["message"] == LACKS


async def test_one_that_does_not_know_the_caller_refuses_as_before(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{__name__}.by_scope"])
    response = await rpc.post(envelope("ListTasks", {}))
    assert response.status_code == 401
    assert (await HttpJsonClient().get("/tasks")).status_code == 401


async def test_a_resolver_of_tenants_may_refuse(a2a: ChangeSettings, rpc: JsonRpcClient) -> None:
    a2a(TENANT_RESOLVER=f"{__name__}.of_nobody")
    assert error_of(await rpc.call("ListTasks", {})) == DENIED
    assert refusal_of(await HttpJsonClient().get("/acme/tasks")) == (403, "PERMISSION_DENIED")
    assert bad_fields(await rpc.call("ListTasks", {"tenant": 1})) == ["tenant"]


async def test_an_agent_may_refuse_to_answer_and_to_show_its_extended_card(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(AUTHENTICATION=[f"{WHO}.by_name"])
    with registry.registered(make_agent(Guarded)):
        for method, params in (
            ("SendMessage", {"message": message()}),
            ("SendStreamingMessage", {"message": message()}),
            ("GetExtendedAgentCard", {}),
        ):
            answer = await rpc.call(method, params, agent="guarded", X_User="ann")
            assert error_of(answer) == DENIED, method
            assert answer["error"]["message"] == LACKS
    assert not await sync_to_async(models.Context.objects.exists)()
