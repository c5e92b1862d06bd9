"""Credentials for agents elsewhere: what each request carries, and where none is sent."""

import re
import traceback
from typing import Any

import pytest

from a2a_app.agents import AgentCard
from a2a_app.client import RemoteAgent, RemoteAgentError
from a2a_app.client.credentials import credentials_for
from tests.client.peers import CardServer
from tests.client.test_on_the_way import BASE, CARD, Peer
from tests.conftest import ChangeSettings

SCHEMES = {
    "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
    "basic": {"httpAuthSecurityScheme": {"scheme": "basic"}},
    "oauth": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://id.test"}},
    "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
    "query": {"apiKeySecurityScheme": {"location": "query", "name": "key"}},
    "cookie": {"apiKeySecurityScheme": {"location": "cookie", "name": "key"}},
    "mtls": {"mtlsSecurityScheme": {}},
}


def needs(*alternatives: tuple[str, ...]) -> dict[str, Any]:
    required: Any = [{"schemes": {name: {} for name in names}} for names in alternatives]
    return {"securitySchemes": SCHEMES, "securityRequirements": required}


@pytest.mark.parametrize(
    ("required", "given", "headers", "others"),
    [
        ([("bearer",)], "x", {"Authorization": "Bearer x"}, {}),
        ([("basic",)], {"basic": "u:p"}, {"Authorization": "Basic dTpw"}, {}),
        ([("oauth",)], "x", {"Authorization": "Bearer x"}, {}),
        ([("key", "query")], {"key": "a", "query": "b"}, {"X-Key": "a"}, {"key": "b"}),
        ([("cookie",)], "x", {}, {"key": "x"}),
        ([("mtls",), ("key", "query"), ("key",)], {"key": "a", "mtls": ""}, {"X-Key": "a"}, {}),
        ([], "x", {"Authorization": "Bearer x"}, {}),
        ([("bearer",)], "", {}, {}),
    ],
)
def test_credentials_go_where_the_card_wants_them(
    required: Any, given: Any, headers: dict[str, str], others: dict[str, str]
) -> None:
    found = credentials_for(AgentCard.from_dict({**CARD, **needs(*required)}), given)
    assert (found.headers, found.query | found.cookies) == (headers, others)


async def test_each_request_carries_the_credentials_of_the_settings(a2a: ChangeSettings) -> None:
    peer = Peer(**needs(("key",)))
    a2a(REMOTE_AGENTS={"peer": {"URL": BASE, "AUTH_CREDENTIALS": {"key": "secret"}}})
    async with RemoteAgent("peer", transport=peer) as agent:
        await agent.get("t")
    a2a(REMOTE_AGENTS={"peer": {"URL": BASE, "AUTH_CREDENTIALS_FROM": f"{__name__}.fresh"}})
    async with RemoteAgent("peer", transport=peer) as agent:
        await agent.get("t")
    assert [request.headers["X-Key"] for request in peer.requests] == ["secret", "fresh for peer"]


async def fresh(name: str) -> str:
    """Return a credential, as a project's hook does."""
    return f"fresh for {name}"


async def test_credentials_that_fit_no_requirement_are_not_sent() -> None:
    with pytest.raises(RemoteAgentError, match="what the card asks for: bearer or key and query"):
        peer = Peer(**needs(("bearer",), ("key", "query")))
        await RemoteAgent(BASE, credentials={"cookie": "x"}, transport=peer).__aenter__()


def leading_to(url: str) -> Peer:
    return Peer(supportedInterfaces=[{**CARD["supportedInterfaces"][0], "url": url}])


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (BASE, "https://thief.test/rpc"),
        (BASE, "https://peer.test:8443/rpc"),
        (f"{BASE}:8443", "https://peer.test/rpc"),
        (BASE, "https://named.test:8443/rpc"),
        (BASE, "https://with-port.test/rpc"),
        ("http://peer.test", "https://peer.test:80/rpc"),
    ],
)
async def test_credentials_do_not_go_where_a_card_leads_to_another_host_or_port(
    a2a: ChangeSettings, base: str, url: str
) -> None:
    peer = leading_to(url)
    hosts = ["named.test", "with-port.test:8443"]
    a2a(REMOTE_AGENTS={"peer": {"URL": base, "AUTH_CREDENTIALS": "x", "HOSTS": hosts}})
    place = re.escape(url.removesuffix("/rpc"))
    with pytest.raises(RemoteAgentError, match=f"leads to '{place}'"):
        await RemoteAgent("peer", transport=peer).__aenter__()
    async with RemoteAgent(base, transport=peer) as agent:
        await agent.get("t")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (BASE, "https://peer.test:443/rpc"),
        (f"{BASE}:443", "https://peer.test/rpc"),
        (f"{BASE}:8443", "https://peer.test:8443/rpc"),
        (BASE, "https://named.test/rpc"),
        (BASE, "https://with-port.test:8443/rpc"),
    ],
)
async def test_credentials_go_to_the_hosts_and_ports_that_the_settings_name(
    a2a: ChangeSettings, base: str, url: str
) -> None:
    peer = leading_to(url)
    hosts = ["named.test", "with-port.test:8443"]
    a2a(REMOTE_AGENTS={"peer": {"URL": base, "AUTH_CREDENTIALS": "x", "HOSTS": hosts}})
    async with RemoteAgent("peer", transport=peer) as agent:
        await agent.get("t")
    assert peer.requests[0].headers["Authorization"] == "Bearer x"


async def test_credentials_do_not_go_from_https_to_http() -> None:
    peer = leading_to("http://peer.test/rpc")
    with pytest.raises(RemoteAgentError, match="from https to http"):
        await RemoteAgent(BASE, headers={"X-Key": "x"}, transport=peer).__aenter__()


async def test_credentials_in_a_query_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(**needs(("query",)))
    with caplog.at_level("DEBUG"):
        async with RemoteAgent(BASE, credentials="secret", transport=peer) as agent:
            await agent.get("t")
    assert peer.requests[0].url.params["key"] == "secret"
    assert "peer.test" in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize(
    ("required", "entry"),
    [
        (("bearer",), {"AUTH_CREDENTIALS": "open sesame\n"}),
        (("key",), {"AUTH_CREDENTIALS": {"key": "open s\u00e9same"}}),
        (("cookie",), {"AUTH_CREDENTIALS": " open sesame"}),
        (("bearer",), {"HEADERS": {"X-Key": "open sesame\n"}}),
    ],
)
async def test_a_secret_that_cannot_be_sent_is_named_and_not_quoted(
    a2a: ChangeSettings, caplog: pytest.LogCaptureFixture, required: Any, entry: dict[str, Any]
) -> None:
    bare = {name: value for name, value in CARD.items() if name != "supportedInterfaces"}
    async with CardServer({**bare, **needs(required)}) as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url, **entry}})
        with caplog.at_level("DEBUG"), pytest.raises(RemoteAgentError) as caught:
            async with RemoteAgent("peer") as agent:
                await agent.get("t")
    shown = "".join(traceback.format_exception(caught.value))
    assert "cannot be sent: it must be printable ASCII" in shown
    assert "open s" not in shown + caplog.text
