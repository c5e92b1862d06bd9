"""The AI Catalog: who finds which agents in it, and who believes it (AI Catalog 0.9, ARD 0.91)."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import rfc8785
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64encode

from a2a_app.agents import Agent, AgentCard, AgentProvider, AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.authentication import CallerName, Grant
from tests.bindings import users
from tests.clients.json_rpc import JsonRpcClient, body_of
from tests.conftest import ChangeSettings

CATALOG = "/.well-known/ai-catalog.json"
ARD = "/.well-known/ard.json"
DID = "/.well-known/did.json"
PUBLIC = "https://agents.example.com"
MEDIA_TYPE = "application/ai-catalog+json"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
EC_KEY = ECKey.generate_key("P-256")
RSA_KEY = RSAKey.generate_key(2048)


async def answer(turn: Turn) -> None: ...


def by_tenant(request: HttpRequest) -> Grant | None:
    """Know callers whose credentials are for two tenants, one of which no URL can have."""
    named = request.headers.get("Authorization")
    tenants = frozenset({"acme", "tasks"})
    return Grant(CallerName("ann"), tenants=tenants) if named else None


def json_of(response: Any) -> dict[str, Any]:
    """Return the JSON of an answer that has a media type of its own."""
    body: dict[str, Any] = json.loads(response.content)
    return body


async def catalog_of(rpc: JsonRpcClient) -> dict[str, Any]:
    return json_of(await rpc.http.get(CATALOG))


def entry_of(catalog: dict[str, Any], slug: str) -> dict[str, Any] | None:
    found = [each for each in catalog["entries"] if f"/a2a/{slug}/" in each["url"]]
    assert len(found) <= 1
    return found[0] if found else None


async def test_every_agent_is_an_entry_that_leads_to_its_card(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUBLIC_URL=PUBLIC, CATALOG_NAME="Example Travel")
    skill = AgentSkill(
        id="book", name="Book", description="Books.", tags=["trips", "rail"], examples=["To Oslo"]
    )
    provider = AgentProvider(organization="Example", url="https://example.com")
    new = make_agent(answer, slug="rail", name="Rail", skills=[skill, skill], provider=provider)
    with registry.registered(new):
        response = await rpc.http.get(CATALOG)
        made = json_of(response)
        *agents, search = made["entries"]
        for each in agents:
            card = body_of(await rpc.http.get(each["url"].removeprefix(PUBLIC)))
            assert (card["name"], card["description"]) == (each["displayName"], each["description"])
        assert len(agents) == len(list(registry))
    assert response["Content-Type"] == MEDIA_TYPE
    assert made["specVersion"] == "0.9"
    assert (search["type"], search["url"], search["identifier"]) == (
        "application/ai-registry+json",
        f"{PUBLIC}/a2a/ard.api/",
        "urn:air:agents.example.com:registry:ard",
    )
    assert made["host"] == {"displayName": "Example Travel", "identifier": "agents.example.com"}
    assert entry_of(made, "rail") == {
        "identifier": "urn:air:agents.example.com:rail:a2a",
        "displayName": "Rail",
        "description": "Rail",
        "type": "application/a2a-agent-card+json",
        "url": f"{PUBLIC}/a2a/rail/.well-known/agent-card.json",
        "tags": ["trips", "rail"],
        "capabilities": ["book"],
        "representativeQueries": ["To Oslo"],
        "publisher": {"identifier": "https://example.com", "displayName": "Example"},
    }


@pytest.mark.parametrize("base", ["", "http://127.0.0.1:8000", "https://[::1]"])
async def test_a_site_without_a_domain_names_its_agents_by_their_urls(
    a2a: ChangeSettings, rpc: JsonRpcClient, base: str
) -> None:
    a2a(PUBLIC_URL=base)
    made = await catalog_of(rpc)
    assert "identifier" not in made["host"]
    for each in made["entries"]:
        assert each["identifier"] == each["url"]


async def test_the_catalog_is_cached_as_a_card_is_and_is_the_one_of_ard(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="refuse")
    first, ard = await rpc.http.get(CATALOG), await rpc.http.get(ARD)
    assert (ard.content, ard["ETag"]) == (first.content, first["ETag"])
    assert first["Cache-Control"] == "public, max-age=300"
    assert first["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in first["Vary"]
    known = {"If-None-Match": first["ETag"]}
    assert (await rpc.http.get(CATALOG, headers=known)).status_code == 304
    head = await rpc.http.head(CATALOG)
    assert (head.status_code, head["ETag"]) == (200, first["ETag"])
    options = await rpc.http.options(CATALOG)
    assert (options.status_code, options["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (await rpc.http.post(CATALOG, {})).status_code == 405
    with registry.registered(make_agent(answer, slug="newer")):
        assert (await rpc.http.get(CATALOG, headers=known)).status_code == 200


class Personal(Agent):
    """Has a skill for those only whom it knows."""

    skills = (
        AgentSkill(id="one", name="One", description="One.", tags=["one"]),
        AgentSkill(id="secret", name="Secret", description="Two.", tags=["secret"]),
    )

    def card(self, card: AgentCard, caller: Any) -> AgentCard:
        if not caller:
            del card.skills[1]
        return card

    async def run(self, turn: Turn) -> None: ...


async def test_each_caller_finds_what_its_cards_say_and_no_hidden_agent(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="refuse", AUTHENTICATION=[f"{users.__name__}.by_username"])
    await sync_to_async(User.objects.create)(username="ann")
    hidden = make_agent(
        answer, slug="hidden", hidden=True, permission=lambda caller, operation: bool(caller)
    )
    with registry.registered(make_agent(Personal, slug="personal"), hidden):
        strangers = await rpc.http.get(CATALOG)
        hers = await rpc.http.get(CATALOG, headers={"X-User": "ann"})
    for response in (strangers, hers):
        assert response["Cache-Control"] == "private, max-age=0, must-revalidate"
        assert "Access-Control-Allow-Origin" not in response
    assert entry_of(json_of(strangers), "hidden") is None
    assert entry_of(json_of(hers), "hidden") is not None
    skills = [entry_of(json_of(each), "personal") for each in (strangers, hers)]
    assert [entry and entry["capabilities"] for entry in skills] == [["one"], ["one", "secret"]]


async def test_credentials_for_tenants_find_the_card_of_each_tenant(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(AUTHENTICATION=[f"{__name__}.by_tenant"], PUBLIC_URL=PUBLIC)
    headers = {"Authorization": "x"}
    response = await rpc.http.get(CATALOG, headers=headers)
    assert response["Cache-Control"].startswith("private")
    entry = entry_of(json_of(response), "echo")
    assert entry is not None
    assert entry["identifier"] == entry["url"]
    assert entry["url"] == f"{PUBLIC}/a2a/echo/acme/.well-known/agent-card.json"
    card = body_of(await rpc.http.get(entry["url"].removeprefix(PUBLIC), headers=headers))
    assert card["supportedInterfaces"][0]["tenant"] == "acme"
    assert "/acme/" not in json.dumps(await catalog_of(rpc))


@pytest.fixture
def sign_with(a2a: ChangeSettings) -> Callable[..., None]:
    def change(key: ECKey | RSAKey = EC_KEY, **more: Any) -> None:
        pem = key.as_pem(private=True).decode()
        a2a(**{"SIGNING_KEY": pem, "PUBLIC_URL": PUBLIC, **more})

    return change


def verify(catalog: dict[str, Any], document: dict[str, Any]) -> str:
    """Verify a catalog as section «The did:web Catalog Profile» says; return its signer."""
    signature = {**catalog["signature"]}
    protected, _, ending = signature.pop("jws").split(".")
    header = jwt.get_unverified_header(f"{protected}.e30.{ending}")
    assert {name: header[name] for name in ("alg", "typ")} == {
        "alg": "ES256", "typ": "ai-catalog+jws",
    }  # fmt: skip  # one line of a header
    assert not {"jku", "jwk", "x5u", "x5c", "b64"} & set(header)
    assert signature["profile"] == "did-web-v1"
    signer: str = signature["signer"]
    assert signer == document["id"] == catalog["host"]["identifier"]
    assert header["kid"].startswith(f"{signer}#")
    assert header["kid"] in document["assertionMethod"]
    [method] = [each for each in document["verificationMethod"] if each["id"] == header["kid"]]
    assert method["controller"] == signer
    payload = urlsafe_b64encode(rfc8785.dumps({**catalog, "signature": signature})).decode()
    key = jwt.PyJWK(method["publicKeyJwk"])
    jwt.PyJWS().decode(f"{protected}.{payload}.{ending}", key, algorithms=["ES256"])
    return signer


async def test_a_signed_catalog_is_believed_by_the_did_of_the_site_and_a_changed_one_is_not(
    sign_with: Any, rpc: JsonRpcClient
) -> None:
    sign_with(SIGNING_KEY_ID="key 1")
    response = await rpc.http.get(DID)
    document = json_of(response)
    assert response["Content-Type"] == "application/did+json"
    assert "d" not in document["verificationMethod"][0]["publicKeyJwk"]
    first = await rpc.http.get(CATALOG)
    signed = json_of(first)
    assert verify(signed, document) == "did:web:agents.example.com"
    with pytest.raises(jwt.InvalidSignatureError):
        verify({**signed, "entries": signed["entries"][1:]}, document)
    sign_with(SIGNING_KEY_ID="key 1")  # again, as in another process
    again = await rpc.http.get(CATALOG, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("key", "url"),
    [
        (RSA_KEY, PUBLIC),
        (EC_KEY, "http://agents.example.com"),
        (EC_KEY, f"{PUBLIC}:8443"),
        (EC_KEY, "https://127.0.0.1"),
    ],
)
async def test_a_site_that_the_profile_has_no_name_for_signs_no_catalog(
    sign_with: Any, rpc: JsonRpcClient, key: ECKey | RSAKey, url: str
) -> None:
    sign_with(key, PUBLIC_URL=url)
    assert "signature" not in await catalog_of(rpc)
    assert (await rpc.http.get(DID)).status_code == 404


async def test_without_a_key_there_is_no_did(rpc: JsonRpcClient) -> None:
    assert (await rpc.http.get(DID)).status_code == 404


async def test_a_browser_gets_the_agents_to_read_and_pages_and_cards_lead_to_the_catalog(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    page = await rpc.http.get("/a2a/", headers=BROWSER)
    assert page["Content-Type"].startswith("text/html")
    assert page["Vary"] == "Accept, Cookie, Authorization"
    assert '<a href="/a2a/echo/">Echo</a>' in page.content.decode()
    assert "console.html" not in page.content.decode()
    a2a(CONSOLE=True, PUBLIC_URL=PUBLIC)
    page = await rpc.http.get("/a2a/", headers=BROWSER)
    assert 'href="/a2a/console.html"' in page.content.decode()
    for path in ("/a2a/", "/a2a/echo/", "/"):
        text = (await rpc.http.get(path, headers=BROWSER)).content.decode()
        for relation, url in (("ai-catalog", CATALOG), ("ard", ARD)):
            assert f'<link rel="{relation}" href="{url}" type="{MEDIA_TYPE}">' in text
    for path in ("/a2a/", "/.well-known/agent-card.json", "/a2a/echo/.well-known/agent-card.json"):
        answered = await rpc.http.get(path)
        assert answered["Content-Type"] == "application/json"
        assert f'<{PUBLIC}{CATALOG}>; rel="ai-catalog"; type="{MEDIA_TYPE}"' in answered["Link"]
    assert "Accept" in (await rpc.http.get("/a2a/"))["Vary"]
