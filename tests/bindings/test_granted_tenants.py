"""Credentials that are for some tenants: what they may be used for, with and without a resolver."""

import base64
from typing import Any

import pytest
from django.http import HttpRequest

from a2a_app.authentication import CallerName, Grant
from tests.bindings import resolvers
from tests.clients.http_json import HttpJsonClient
from tests.clients.json_rpc import JsonRpcClient, bad_fields, body_of
from tests.conftest import ChangeSettings
from tests.wire import envelope, message

AUTHENTICATOR = f"{__name__}.of_tenants"
CARD = ".well-known/agent-card.json"


async def of_tenants(request: HttpRequest) -> Grant:
    """Know Ann, with credentials for the tenants that a header names."""
    return Grant(CallerName("ann"), tenants=frozenset(request.headers.get("X-Tenants", "").split()))


@pytest.fixture(autouse=True)
def _without_resolver(a2a: ChangeSettings) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[AUTHENTICATOR])


async def send(rpc: JsonRpcClient, tenants: str, tenant: str = "") -> dict[str, Any]:
    params = {"message": message("hello"), "tenant": tenant}
    return await rpc.call("SendMessage", params, agent="echo", X_Tenants=tenants)


async def total(rpc: JsonRpcClient, tenants: str, tenant: str = "") -> int:
    params = {"tenant": tenant} if tenant else {}
    answer = await rpc.call("ListTasks", params, agent="echo", X_Tenants=tenants)
    return int(answer["result"]["totalSize"])


async def test_a_tenant_is_named_by_its_key_and_the_only_one_need_not_be_named(
    rpc: JsonRpcClient,
) -> None:
    for tenants, tenant in (("acme globex", "acme"), ("acme", ""), ("globex", "globex")):
        assert "result" in await send(rpc, tenants, tenant)
    assert (await total(rpc, "acme"), await total(rpc, "acme globex", "globex")) == (2, 1)


@pytest.mark.parametrize(
    ("tenants", "tenant"),
    [("acme", "globex"), ("acme globex", ""), ("", ""), ("", "acme"), ("a/b", "a/b"), ("a/b", "")],
)
async def test_no_other_tenant_is_served(rpc: JsonRpcClient, tenants: str, tenant: str) -> None:
    assert bad_fields(await send(rpc, tenants, tenant)) == ["tenant"]


async def test_a_client_of_0_3_is_served_in_the_only_tenant(rpc: JsonRpcClient) -> None:
    part = {"kind": "text", "text": "hello"}
    said = {"kind": "message", "messageId": "1", "role": "user", "parts": [part]}
    sent = envelope("message/send", {"message": said})
    response = await rpc.post(sent, path="/a2a/echo/", X_Tenants="acme")
    assert "result" in body_of(response)
    assert (await total(rpc, "acme"), await total(rpc, "globex")) == (1, 0)
    refused = await rpc.post(sent, path="/a2a/echo/", X_Tenants="acme globex")
    assert body_of(refused)["error"]["code"] == -32602


async def test_what_the_resolver_finds_must_be_granted_too(
    rpc: JsonRpcClient, a2a: ChangeSettings
) -> None:
    a2a(TENANT_RESOLVER=f"{resolvers.__name__}.by_name")
    assert "result" in await send(rpc, "acme", "acme-inc")
    assert bad_fields(await send(rpc, "acme", "globex")) == ["tenant"]
    assert bad_fields(await send(rpc, "acme", "")) == ["tenant"]


async def test_a_tenant_has_a_card_for_those_who_are_in_it(rpc: JsonRpcClient) -> None:
    for tenants, status in (("acme", 200), ("globex", 404)):
        response = await rpc.http.get(f"/a2a/echo/acme/{CARD}", headers={"X-Tenants": tenants})
        assert response.status_code == status


async def test_a_link_to_a_file_is_of_no_use_without_its_tenant(
    rpc: JsonRpcClient, a2a: ChangeSettings, empty_storages: None
) -> None:
    a2a(RAW_LIMIT=10)
    raw = base64.b64encode(b"x" * 100).decode()
    said = message("hello") | {"parts": [{"raw": raw, "mediaType": "text/plain"}]}
    sent = await rpc.call("SendMessage", {"message": said}, agent="echo", X_Tenants="acme")
    url = sent["result"]["task"]["history"][0]["parts"][0]["url"]
    path = url.partition("testserver")[2]
    statuses = [
        (await HttpJsonClient().http.get(path, headers={"X-Tenants": tenants})).status_code
        for tenants in ("acme", "globex")
    ]
    assert statuses == [200, 404]
