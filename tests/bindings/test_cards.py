"""Cards over HTTP (section 8): where they are, what they say, and how they are cached."""

import pytest

from a2a_app.agents import Turn, registry
from a2a_app.agents.registry import make_agent
from tests.bindings.conftest import Rpc, Settings, body_of, error_of
from tests.conftest import Serve
from tests.rpc import Client, message

SITE = "/.well-known/agent-card.json"
LOAD = f"/a2a/load{SITE}"
ECHO = f"/a2a/echo{SITE}"


async def test_each_agent_has_its_card_and_the_default_agent_that_of_the_site(rpc: Rpc) -> None:
    load, echo, site = [body_of(await rpc.http.get(path)) for path in (LOAD, ECHO, SITE)]
    assert load["name"] == "Load"
    assert echo["name"] == "Echo"
    assert site == echo


async def test_the_site_has_no_card_where_no_agent_is_the_default(a2a: Settings, rpc: Rpc) -> None:
    a2a(DEFAULT_AGENT="")
    assert (await rpc.http.get(SITE)).status_code == 404


async def test_the_card_lists_exactly_what_is_served(rpc: Rpc) -> None:
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
        "pushNotifications": False,
        "extendedAgentCard": False,
    }


@pytest.mark.parametrize("public", ["https://agents.example.com", "https://agents.example.com/"])
async def test_the_public_url_comes_before_the_host(a2a: Settings, rpc: Rpc, public: str) -> None:
    a2a(PUBLIC_URL=public)
    card = body_of(await rpc.http.get(LOAD))
    assert card["supportedInterfaces"][0]["url"] == "https://agents.example.com/a2a/load/"


async def test_without_a_public_url_the_card_leads_to_the_host_that_was_asked(
    serve: Serve,
) -> None:
    server = serve()
    async with Client(server.url) as client:
        first = await client.http.get(f"{server.url}{LOAD}")
        interface, *_ = first.json()["supportedInterfaces"]
        assert interface["url"] == f"{server.url}/a2a/load/"
        named = {"Host": "outside.example:8443"}
        other = await client.http.get(f"{server.url}{LOAD}", headers=named)
        interface, *_ = other.json()["supportedInterfaces"]
        assert interface["url"] == "http://outside.example:8443/a2a/load/"
        assert other.headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("path", [SITE, LOAD])
async def test_a_card_that_the_client_has_is_not_sent_again(rpc: Rpc, path: str) -> None:
    first = await rpc.http.get(path)
    again = await rpc.http.get(path, headers={"If-None-Match": first["ETag"]})
    other = await rpc.http.get(path, headers={"If-None-Match": '"another"'})
    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert again.content == b""
    assert again["ETag"] == first["ETag"] == other["ETag"]
    assert again["Cache-Control"] == first["Cache-Control"]


async def test_the_setting_says_how_long_a_card_may_be_kept(a2a: Settings, rpc: Rpc) -> None:
    assert (await rpc.http.get(LOAD))["Cache-Control"] == "public, max-age=300"
    a2a(CARD_MAX_AGE=7)
    assert (await rpc.http.get(LOAD))["Cache-Control"] == "public, max-age=7"


async def answer(turn: Turn) -> None:
    await turn.complete("Done.")


async def test_an_agent_that_does_not_stream_says_so_and_refuses_streams(rpc: Rpc) -> None:
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
