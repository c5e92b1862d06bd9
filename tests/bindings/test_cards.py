"""Cards over HTTP (section 8): where they are, what they say, and how they are cached."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from pytest_django import Settings

from a2a_app.agents import (
    Agent,
    AgentCard,
    AgentExtension,
    AgentProvider,
    AgentSkill,
    Turn,
    registry,
)
from a2a_app.agents.extensions import APPEND_ONLY, IDEMPOTENT_SENDING, STREAM_RESUMPTION
from a2a_app.agents.registry import make_agent
from tests.bindings import authenticators, users
from tests.clients.json_rpc import JsonRpcClient, body_of, error_of
from tests.clients.sockets import SocketClient
from tests.conftest import ChangeSettings, Serve
from tests.wire import HEADERS, message

SITE = "/.well-known/agent-card.json"
LOAD = f"/a2a/load{SITE}"
ECHO = f"/a2a/echo{SITE}"


async def test_each_agent_has_its_card_and_the_default_agent_that_of_the_site(
    rpc: JsonRpcClient,
) -> None:
    load, echo, site = [body_of(await rpc.http.get(path)) for path in (LOAD, ECHO, SITE)]
    assert load["name"] == "Load"
    assert echo["name"] == "Echo"
    assert site == echo


async def test_the_site_has_no_card_where_no_agent_is_the_default(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(DEFAULT_AGENT="")
    assert (await rpc.http.get(SITE)).status_code == 404


async def test_the_card_lists_exactly_what_is_served(rpc: JsonRpcClient) -> None:
    card = body_of(await rpc.http.get(LOAD))
    reached = [
        (each["protocolVersion"], each["protocolBinding"], each["url"])
        for each in card["supportedInterfaces"]
    ]
    assert reached == [
        ("1.0", "JSONRPC", "http://testserver/a2a/load/"),
        ("1.0", "HTTP+JSON", "http://testserver/a2a/load"),
        ("0.3", "JSONRPC", "http://testserver/a2a/load/"),
        ("0.3", "HTTP+JSON", "http://testserver/a2a/load"),
    ]
    assert card["capabilities"] == {
        "streaming": True,
        "pushNotifications": True,
        "extendedAgentCard": False,
        "extensions": [
            each.to_dict() for each in (STREAM_RESUMPTION, APPEND_ONLY, IDEMPOTENT_SENDING)
        ],
    }


@pytest.mark.parametrize("public", ["https://agents.example.com", "https://agents.example.com/"])
async def test_the_public_url_comes_before_the_host(
    a2a: ChangeSettings, rpc: JsonRpcClient, public: str
) -> None:
    a2a(PUBLIC_URL=public)
    card = body_of(await rpc.http.get(LOAD))
    assert card["supportedInterfaces"][0]["url"] == "https://agents.example.com/a2a/load/"


async def test_a_card_that_says_http_behind_a_proxy_with_tls_is_logged_once_with_the_remedy(
    a2a: ChangeSettings,
    rpc: JsonRpcClient,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    a2a(PUBLIC_URL="")
    await rpc.http.get(LOAD)
    assert not caplog.records
    for _ in range(2):
        await rpc.http.get(LOAD, headers={"X-Forwarded-Proto": "https"})
    [warning] = caplog.records
    assert "SECURE_PROXY_SSL_HEADER" in warning.getMessage()
    a2a(PUBLIC_URL="https://agents.example.com")
    await rpc.http.get(LOAD, headers={"X-Forwarded-Proto": "https"})
    a2a(PUBLIC_URL="")
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    card = body_of(await rpc.http.get(LOAD, headers={"X-Forwarded-Proto": "https"}))
    assert card["supportedInterfaces"][0]["url"].startswith("https://testserver/")
    assert len(caplog.records) == 1


async def test_without_a_public_url_the_card_leads_to_the_host_that_was_asked(
    serve: Serve,
) -> None:
    server = serve()
    async with SocketClient(server.url) as client:
        first = await client.http.get(f"{server.url}{LOAD}")
        interface, *_ = first.json()["supportedInterfaces"]
        assert interface["url"] == f"{server.url}/a2a/load/"
        named = {"Host": "outside.example:8443"}
        other = await client.http.get(f"{server.url}{LOAD}", headers=named)
        interface, *_ = other.json()["supportedInterfaces"]
        assert interface["url"] == "http://outside.example:8443/a2a/load/"
        assert other.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("path", [SITE, LOAD])
async def test_a_card_that_the_client_has_is_not_sent_again(rpc: JsonRpcClient, path: str) -> None:
    first = await rpc.http.get(path)
    again = await rpc.http.get(path, headers={"If-None-Match": first["ETag"]})
    other = await rpc.http.get(path, headers={"If-None-Match": '"another"'})
    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert again.content == b""
    assert again["ETag"] == first["ETag"] == other["ETag"]
    assert again["Cache-Control"] == first["Cache-Control"]


async def test_the_setting_says_how_long_a_card_may_be_kept(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    assert (await rpc.http.get(LOAD))["Cache-Control"] == "public, max-age=300"
    a2a(CARD_MAX_AGE=7)
    assert (await rpc.http.get(LOAD))["Cache-Control"] == "public, max-age=7"


async def answer(turn: Turn) -> None:
    await turn.complete("Done.")


async def test_the_card_says_all_that_the_agent_declares(rpc: JsonRpcClient) -> None:
    declared = make_agent(
        answer,
        name="Complete",
        slug="complete",
        description="Declares all there is.",
        version="2.1.0",
        provider=AgentProvider(organization="Example", url="https://example.com"),
        documentation_url="https://example.com/docs",
        icon_url="https://example.com/icon.png",
        input_modes=("text/plain", "application/json"),
        output_modes=("image/png",),
        extensions=[AgentExtension(uri="https://example.com/ext", description="More.")],
        skills=[
            AgentSkill(
                id="draw",
                name="Draw",
                description="Draws.",
                tags=["art"],
                examples=["Draw a boat"],
                input_modes=["text/plain"],
                output_modes=["image/svg+xml"],
            )
        ],
    )
    with registry.registered(declared):
        card = body_of(await rpc.http.get(f"/a2a/complete{SITE}", headers=HEADERS))
    del card["supportedInterfaces"]
    assert card == {
        "name": "Complete",
        "description": "Declares all there is.",
        "version": "2.1.0",
        "provider": {"organization": "Example", "url": "https://example.com"},
        "documentationUrl": "https://example.com/docs",
        "iconUrl": "https://example.com/icon.png",
        "capabilities": {
            "streaming": True,
            "pushNotifications": True,
            "extendedAgentCard": False,
            "extensions": [
                {"uri": "https://example.com/ext", "description": "More."},
                STREAM_RESUMPTION.to_dict(),
                APPEND_ONLY.to_dict(),
                IDEMPOTENT_SENDING.to_dict(),
            ],
        },
        "defaultInputModes": ["text/plain", "application/json"],
        "defaultOutputModes": ["image/png"],
        "skills": [
            {
                "id": "draw",
                "name": "Draw",
                "description": "Draws.",
                "tags": ["art"],
                "examples": ["Draw a boat"],
                "inputModes": ["text/plain"],
                "outputModes": ["image/svg+xml"],
            }
        ],
    }


async def test_an_agent_that_does_not_stream_says_so_and_refuses_streams(
    rpc: JsonRpcClient,
) -> None:
    with registry.registered(make_agent(answer, slug="unary", streaming=False)):
        card = body_of(await rpc.http.get(f"/a2a/unary{SITE}"))
        assert card["capabilities"]["streaming"] is False
        task = (await rpc.result("SendMessage", agent="unary", message=message()))["task"]
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        for method, params in (
            ("SendStreamingMessage", {"message": message()}),
            ("SubscribeToTask", {"id": task["id"]}),
        ):
            refused = await rpc.call(method, params, agent="unary")
            assert error_of(refused) == (-32004, "UNSUPPORTED_OPERATION")
        listed = await rpc.result("ListTasks", agent="unary")
        assert listed["totalSize"] == 1


def own_card(agent: str) -> str:
    return f"/a2a/{agent}{SITE}"


async def test_a_client_that_knows_a_date_only_is_told_what_has_changed_since(
    rpc: JsonRpcClient,
) -> None:
    first = await rpc.http.get(LOAD)
    since = {"If-Modified-Since": first["Last-Modified"]}
    assert (await rpc.http.get(LOAD, headers=since)).status_code == 304
    before = {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:01 GMT"}
    assert (await rpc.http.get(LOAD, headers=before)).status_code == 200
    # The ETag says more than the date.
    both = {**since, "If-None-Match": '"another"'}
    assert (await rpc.http.get(LOAD, headers=both)).status_code == 200


async def test_a_card_is_as_new_as_the_newest_declaration(rpc: JsonRpcClient) -> None:
    registry.changed_at = 1
    assert (await rpc.http.get(LOAD))["Last-Modified"] == "Thu, 01 Jan 1970 00:00:01 GMT"
    with registry.registered(make_agent(answer, slug="newer")):
        newer = (await rpc.http.get(own_card("newer")))["Last-Modified"]
    assert newer != "Thu, 01 Jan 1970 00:00:01 GMT"


@pytest.mark.parametrize("path", [SITE, LOAD])
async def test_pages_of_any_site_may_read_a_public_card(rpc: JsonRpcClient, path: str) -> None:
    first = await rpc.http.get(path)
    again = await rpc.http.get(path, headers={"If-None-Match": first["ETag"]})
    for response in (first, again):
        assert response["Access-Control-Allow-Origin"] == "*"
        assert response["Access-Control-Expose-Headers"] == "ETag"


@pytest.mark.parametrize("path", [SITE, LOAD, "/a2a/", "/.well-known/ai-catalog.json"])
async def test_a_browser_learns_that_it_may_send_the_version_with_which_it_asks_for_a_card(
    rpc: JsonRpcClient, path: str
) -> None:
    asked = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "a2a-version",
    }
    response = await rpc.http.options(path, headers=asked)
    assert response.status_code == 204
    assert response["Access-Control-Allow-Origin"] == "*"
    assert "A2A-Version" in response["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("path", ["/a2a/load/", "/a2a/load/tasks", "/a2a/metrics.txt"])
async def test_a_browser_is_told_nothing_of_the_kind_for_what_is_not_public(
    rpc: JsonRpcClient, path: str
) -> None:
    response = await rpc.http.options(path, headers={"Origin": "https://app.example.com"})
    assert response.status_code == 204
    assert "Access-Control-Allow-Origin" not in response


async def test_a_real_server_gives_the_headers_of_a_card_without_the_card(serve: Serve) -> None:
    server = serve()
    async with SocketClient(server.url) as client:
        for path in (SITE, LOAD):
            full = await client.http.get(server.url + path)
            head = await client.http.head(server.url + path)
            assert (head.status_code, head.content) == (200, b"")
            for header in ("ETag", "Last-Modified", "Cache-Control", "Content-Type"):
                assert head.headers[header] == full.headers[header]


async def test_the_catalogue_leads_to_the_card_of_every_agent(rpc: JsonRpcClient) -> None:
    response = await rpc.http.get("/a2a/")
    listed = body_of(response)["agents"]
    assert [each["name"] for each in listed] == [agent.name for agent in registry]
    for each in listed:
        card = body_of(await rpc.http.get(each["cardUrl"].removeprefix("http://testserver")))
        assert {name: card[name] for name in ("name", "description")} == {
            "name": each["name"], "description": each["description"],
        }  # fmt: skip  # one pair
    known = {"If-None-Match": response["ETag"]}
    assert (await rpc.http.get("/a2a/", headers=known)).status_code == 304
    with registry.registered(make_agent(answer, slug="newer")):
        assert (await rpc.http.get("/a2a/", headers=known)).status_code == 200


async def test_the_catalogue_is_public_and_says_where_clients_reach_it(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(ANONYMOUS="refuse", PUBLIC_URL="https://agents.example.com")
    response = await rpc.http.get("/a2a/")
    assert body_of(response)["agents"][0]["cardUrl"].startswith("https://agents.example.com/a2a/")
    assert response["Cache-Control"] == "public, max-age=300"
    assert response["Access-Control-Allow-Origin"] == "*"


class Personal(Agent):
    """Has another card for each caller."""

    skills = (AgentSkill(id="one", name="One", description="One.", tags=["one"]),)

    def card(self, card: AgentCard, caller: Any) -> AgentCard:
        if caller:
            card.description = f"For {caller.username}."
            card.skills[0].description = "Changed."
        return card

    async def run(self, turn: Turn) -> None: ...


async def test_a_card_of_each_caller_is_kept_by_that_caller_only(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    paths = [f"{users.__name__}.by_username", f"{authenticators.__name__}.Header"]
    a2a(ANONYMOUS="refuse", AUTHENTICATION=paths)
    await sync_to_async(User.objects.create)(username="ann")
    with registry.registered(make_agent(Personal, slug="personal")):
        hers = await rpc.http.get(own_card("personal"), headers={"X-User": "ann"})
        anybodys = await rpc.http.get(own_card("personal"))
        known = {"X-User": "ann", "If-None-Match": hers["ETag"]}
        again = await rpc.http.get(own_card("personal"), headers=known)
    assert body_of(hers)["description"] == "For ann."
    assert body_of(hers)["skills"][0]["description"] == "Changed."
    assert body_of(anybodys)["description"] == "Has another card for each caller."
    assert body_of(anybodys)["skills"][0]["description"] == "One."
    assert again.status_code == 304
    for response in (hers, anybodys, again):
        assert response["Cache-Control"] == "private, max-age=0, must-revalidate"
        varies = set(response["Vary"].split(", "))
        assert varies >= {"Authorization", "Cookie", "X-API-Key"}
        assert "Access-Control-Allow-Origin" not in response
        assert "Last-Modified" not in response
