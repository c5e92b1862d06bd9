"""Cards for both versions: one card, without 0.3 for a client that asks for 1.0."""

from typing import Any

import pytest
from a2a.compat.v0_3 import types

from a2a_app.agents import AgentExtension, AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.bindings.v03 import card_with_03
from a2a_app.protocol import AgentCard, AgentProvider
from tests.clients.json_rpc import JsonRpcClient, body_of
from tests.conftest import ChangeSettings

SITE, OLD_SITE = "/.well-known/agent-card.json", "/.well-known/agent.json"
PATHS = [f"{agent}{path}" for agent in ("", "/a2a/load") for path in (SITE, OLD_SITE)]
MEMBERS_03 = {
    "url", "preferredTransport", "additionalInterfaces", "protocolVersion",
    "supportsAuthenticatedExtendedCard",
}  # fmt: skip  # names only


@pytest.mark.parametrize("path", PATHS)
async def test_a_card_is_read_by_clients_of_both_versions(rpc: JsonRpcClient, path: str) -> None:
    response = await rpc.http.get(path)
    card = body_of(response)
    assert "A2A-Version" in response["Vary"]
    assert AgentCard.from_dict(card).name == card["name"]
    old = types.AgentCard.model_validate(card)
    assert old.protocol_version == "0.3.0"
    assert (old.preferred_transport, old.url) == ("JSONRPC", card["supportedInterfaces"][2]["url"])
    assert old.additional_interfaces is not None
    reached = {each.transport: each.url for each in old.additional_interfaces}
    assert reached == {"JSONRPC": old.url, "HTTP+JSON": old.url.rstrip("/")}
    assert old.supports_authenticated_extended_card is False


@pytest.mark.parametrize("version", ["1.0", "1.0.1"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_client_that_asks_for_1_0_gets_no_member_of_0_3(
    rpc: JsonRpcClient, path: str, version: str
) -> None:
    both = await rpc.http.get(path)
    by_header = await rpc.http.get(path, headers={"A2A-Version": version})
    by_query = await rpc.http.get(f"{path}?A2A-Version={version}")
    card = body_of(by_header)
    assert card == body_of(by_query) == AgentCard.from_dict(card).to_dict()
    assert set(body_of(both)) - set(card) == MEMBERS_03
    assert by_header["ETag"] != both["ETag"]
    assert "A2A-Version" in by_header["Vary"]


async def test_a_card_has_nothing_of_0_3_where_that_is_not_served(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PROTOCOL_VERSIONS=["1.0"])
    card = body_of(await rpc.http.get(SITE))
    assert not MEMBERS_03 & set(card)
    assert {each["protocolVersion"] for each in card["supportedInterfaces"]} == {"1.0"}
    for path in PATHS:
        found = (await rpc.http.get(path)).status_code
        assert found == (404 if path.endswith(OLD_SITE) else 200)


async def test_the_setting_says_which_version_is_preferred(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PROTOCOL_VERSIONS=["0.3", "1.0"])
    card = body_of(await rpc.http.get(SITE))
    versions = [each["protocolVersion"] for each in card["supportedInterfaces"]]
    assert versions == ["0.3", "0.3", "1.0", "1.0"]


async def does(turn: Turn) -> None:
    """Do it."""


async def test_a_card_says_in_0_3_all_that_the_agent_declares(rpc: JsonRpcClient) -> None:
    declared: dict[str, Any] = {
        "slug": "full",
        "provider": AgentProvider(url="https://example.com", organization="Example"),
        "documentation_url": "https://example.com/docs",
        "icon_url": "https://example.com/icon.png",
        "extensions": [AgentExtension(uri="https://example.com/ext", required=True)],
        "skills": [AgentSkill(id="s", name="S", description="Does.", tags=["t"], examples=["e"])],
    }
    with registry.registered(make_agent(does, **declared)):
        old = types.AgentCard.model_validate(body_of(await rpc.http.get(f"/a2a/full{SITE}")))
    assert old.provider is not None and old.provider.organization == "Example"
    assert (old.documentation_url, old.icon_url) == (
        declared["documentation_url"],
        declared["icon_url"],
    )
    extension, *_ = old.capabilities.extensions or []
    assert (extension.uri, extension.required) == ("https://example.com/ext", True)
    [skill] = old.skills
    assert (skill.id, skill.tags, skill.examples) == ("s", ["t"], ["e"])


def test_security_is_written_as_each_version_reads_it() -> None:
    flow: dict[str, Any] = {"tokenUrl": "https://example.com/token", "scopes": {"a": "All"}}
    card = AgentCard.from_dict(
        {
            "name": "A", "description": "a", "version": "1", "defaultInputModes": [],
            "defaultOutputModes": [], "capabilities": {"extendedAgentCard": True},
            "supportedInterfaces": [
                {"url": "https://a.test/", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"}
            ],
            "skills": [
                {
                    "id": "s", "name": "S", "description": "s", "tags": ["t"],
                    "securityRequirements": [{"schemes": {"oauth": {"list": ["a"]}}}],
                }
            ],
            "securitySchemes": {
                "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}},
                "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
                "oauth": {"oauth2SecurityScheme": {"flows": {"clientCredentials": flow}}},
                "oidc": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://example.com/o"}},
                "mtls": {"mtlsSecurityScheme": {}},
            },
            "securityRequirements": [{"schemes": {"key": {"list": []}, "oauth": {"list": ["a"]}}}],
        }
    )  # fmt: skip  # short members, a few on a line
    both = card_with_03(card.to_dict())
    assert AgentCard.from_dict(both) == card
    old = types.AgentCard.model_validate(both)
    schemes = {name: each.root for name, each in (old.security_schemes or {}).items()}
    assert schemes == {
        "key": types.APIKeySecurityScheme(in_=types.In.header, name="X-Key"),
        "bearer": types.HTTPAuthSecurityScheme(scheme="Bearer"),
        "oauth": types.OAuth2SecurityScheme(
            flows=types.OAuthFlows(
                client_credentials=types.ClientCredentialsOAuthFlow(
                    token_url=flow["tokenUrl"], scopes=flow["scopes"]
                )
            )
        ),
        "oidc": types.OpenIdConnectSecurityScheme(open_id_connect_url="https://example.com/o"),
        "mtls": types.MutualTLSSecurityScheme(),
    }
    assert old.security == [{"key": [], "oauth": ["a"]}]
    assert old.skills[0].security == [{"oauth": ["a"]}]
    assert old.supports_authenticated_extended_card is True


def test_a_card_without_an_interface_of_0_3_is_left_as_it_is() -> None:
    card = {"name": "A", "supportedInterfaces": [{"protocolVersion": "1.0"}]}
    assert card_with_03(card) == card
