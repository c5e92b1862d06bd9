"""Agents that are not for everybody, and agents that do not exist for others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest

from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import Grant
from a2a_app.protocol import UnavailableError
from tests.bindings import users
from tests.clients.http_json import json_of
from tests.clients.json_rpc import JsonRpcClient, error_of
from tests.conftest import ChangeSettings
from tests.wire import HEADERS, envelope, message

DENIED = (-32051, "PERMISSION_DENIED")
UNKNOWN = (-32050, "UNAUTHENTICATED")
CARD = ".well-known/agent-card.json"
PERMISSION = "auth.view_group"
ALL = {"ANONYMOUS": "share", "AUTHENTICATION": [f"{users.__name__}.by_username"]}


async def greets(turn: Turn) -> str:
    """Greet."""
    return "hello"


async def may_read(caller: Any, operation: str) -> bool:
    """Let everybody read, and Ann do everything."""
    return operation == "ListTasks" or getattr(caller, "username", "") == "ann"


def make_users() -> None:
    ann, _ = User.objects.create(username="ann"), User.objects.create(username="bob")
    ann.user_permissions.set([Permission.objects.get(codename="view_group")])


@pytest.fixture
async def agents(a2a: ChangeSettings, rpc: JsonRpcClient) -> AsyncIterator[None]:
    a2a(**ALL)
    with registry.registered(
        make_agent(greets, slug="for-some", permission=PERMISSION),
        make_agent(greets, slug="by-operation", permission=may_read),
        make_agent(greets, slug="hidden", permission=PERMISSION, hidden=True),
    ):
        await sync_to_async(make_users)()
        yield


async def test_a_permission_of_django_decides_who_uses_an_agent(
    agents: None, rpc: JsonRpcClient
) -> None:
    sent = {"message": message()}
    assert "result" in await rpc.call("SendMessage", sent, agent="for-some", X_User="ann")
    for method in ("SendMessage", "SendStreamingMessage", "ListTasks"):
        params = sent if "Send" in method else {}
        denied = await rpc.call(method, params, agent="for-some", X_User="bob")
        assert error_of(denied) == DENIED
        assert error_of(await rpc.call(method, params, agent="for-some")) == UNKNOWN
    # Its card is there for everybody, who may learn that a permission is needed.
    card = await rpc.http.get("/a2a/for-some/.well-known/agent-card.json")
    assert card.status_code == 200


async def test_a_callable_decides_by_operation(agents: None, rpc: JsonRpcClient) -> None:
    sent = {"message": message()}
    assert "result" in await rpc.call("ListTasks", {}, agent="by-operation", X_User="bob")
    denied = await rpc.call("SendMessage", sent, agent="by-operation", X_User="bob")
    assert error_of(denied) == DENIED
    assert "result" in await rpc.call("SendMessage", sent, agent="by-operation", X_User="ann")


READ_ONLY = {"read": None, "*": PERMISSION}
BY_OPERATION = {"SendMessage": PERMISSION, "send": may_read, "GetTask": None}


@pytest.mark.parametrize(
    ("permission", "method", "user", "refusal"),
    [
        (READ_ONLY, "ListTasks", "bob", ""),
        (READ_ONLY, "SendMessage", "bob", "PERMISSION_DENIED"),
        (READ_ONLY, "SendStreamingMessage", "bob", "PERMISSION_DENIED"),
        (READ_ONLY, "CancelTask", "bob", "PERMISSION_DENIED"),
        (READ_ONLY, "CancelTask", "", "UNAUTHENTICATED"),
        (READ_ONLY, "SendMessage", "ann", ""),
        (READ_ONLY, "CancelTask", "ann", "TASK_NOT_FOUND"),
        # The operation by its own name counts first, and what is not named is for nobody.
        (BY_OPERATION, "SendMessage", "bob", "PERMISSION_DENIED"),
        (BY_OPERATION, "SendStreamingMessage", "bob", "PERMISSION_DENIED"),
        (BY_OPERATION, "GetTask", "bob", "TASK_NOT_FOUND"),
        (BY_OPERATION, "SendMessage", "ann", ""),
        (BY_OPERATION, "ListTasks", "ann", "PERMISSION_DENIED"),
    ],
)
async def test_a_mapping_says_what_each_operation_needs(
    agents: None,
    rpc: JsonRpcClient,
    permission: dict[str, Any],
    method: str,
    user: str,
    refusal: str,
) -> None:
    params = {"SendMessage": {"message": message()}, "ListTasks": {}}.get(method, {"id": "1"})
    with registry.registered(make_agent(greets, slug="mapped", permission=permission)):
        answer = await rpc.call(method, params, agent="mapped", X_User=user)
    assert (error_of(answer)[1] if "error" in answer else "") == refusal


def limited(request: HttpRequest) -> Grant | None:
    """Know Ann, whose credentials are for the agents that a header names."""
    named = request.headers.get("X-Agents", "")
    return Grant(User.objects.get(username="ann"), agents=frozenset(named.split()))


async def test_a_hidden_agent_does_not_exist_for_credentials_that_are_not_for_it(
    agents: None, rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{__name__}.limited"])
    for named, is_there in (("hidden", True), ("for-some", False)):
        headers = {"X-Agents": named}
        card = await rpc.http.get("/a2a/hidden/.well-known/agent-card.json", headers=headers)
        assert (card.status_code == 200) is is_there
        listed = await rpc.http.get("/a2a/", headers=headers)
        assert ("/a2a/hidden/" in listed.content.decode()) is is_there


@pytest.mark.parametrize("user", ["", "bob"])
async def test_a_hidden_agent_is_for_others_as_one_that_there_is_not(
    agents: None, rpc: JsonRpcClient, user: str
) -> None:
    named = {"X-User": user} if user else {}
    sent = envelope("SendMessage", {"message": message()})
    requests: list[tuple[str, str, Any]] = [
        ("GET", "/.well-known/agent-card.json", None),
        ("GET", "/.well-known/agent.json", None),
        ("GET", "/", None),
        ("OPTIONS", "/", None),
        ("POST", "/", sent),
        ("POST", "/", b"{"),
        ("POST", "/message:send", {"message": message()}),
        ("GET", "/tasks", None),
        ("DELETE", "/tasks", None),
        ("GET", "/v1/tasks/1", None),
        ("GET", "/acme/.well-known/agent-card.json", None),
    ]
    for verb, path, body in requests:
        answers = [
            await rpc.http.generic(
                verb,
                f"/a2a/{slug}{path}",
                body if isinstance(body, bytes) else b"" if body is None else str(body).encode(),
                "application/json",
                headers={**HEADERS, **named},
            )
            for slug in ("hidden", "absent")
        ]
        hidden, missing = answers
        assert hidden.status_code == missing.status_code == 404, (verb, path)
        assert hidden.content.replace(b"hidden", b"absent") == missing.content
        assert hidden.headers == missing.headers


async def test_a_hidden_agent_is_there_for_those_who_may_use_it(
    agents: None, rpc: JsonRpcClient
) -> None:
    card = "/a2a/hidden/.well-known/agent-card.json"
    response = await rpc.http.get(card, headers={"X-User": "ann"})
    assert response.status_code == 200 and "private" in response["Cache-Control"]
    sent = await rpc.call("SendMessage", {"message": message()}, agent="hidden", X_User="ann")
    assert "result" in sent
    for user, is_listed in (("ann", True), ("bob", False)):
        listed = await rpc.http.get("/a2a/", headers={"X-User": user})
        names = [each["cardUrl"].split("/")[4] for each in json_of(listed)["agents"]]
        assert ("hidden" in names) is is_listed and "for-some" in names
        assert "private" in listed["Cache-Control"]


async def test_a_hidden_agent_of_the_site_has_no_card_for_others(
    agents: None, rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    card = "/.well-known/agent-card.json"
    a2a(**ALL, DEFAULT_AGENT="hidden")
    response = await rpc.http.get(card, headers={"X-User": "bob"})
    assert (await rpc.http.get(card, headers={"X-User": "ann"})).status_code == 200
    a2a(**ALL, DEFAULT_AGENT="")
    missing = await rpc.http.get(card, headers={"X-User": "bob"})
    assert response.status_code == missing.status_code == 404
    assert response.content == missing.content


def is_away(request: HttpRequest) -> None:
    """Know nobody at present."""
    raise UnavailableError("The provider is away.")


async def test_pages_say_try_again_where_nobody_can_tell_who_may_see_a_hidden_agent(
    agents: None, rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.is_away"])
    for verb, path in (("GET", "/a2a/"), ("GET", f"/a2a/hidden/{CARD}"), ("PUT", "/a2a/hidden/")):
        response = await rpc.http.generic(verb, path)
        assert (response.status_code, response["Retry-After"]) == (503, "1"), path


def test_an_agent_is_hidden_from_somebody() -> None:
    with pytest.raises(ValueError, match="needs a permission"):
        make_agent(greets, hidden=True)
