"""The search among agents (ARD 0.91, section 5.3): what is found, and in which order."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async

from a2a_app.agents import AgentSkill, Turn, registry
from a2a_app.agents.registry import make_agent
from a2a_app.bindings.search import ranked
from a2a_app.models import DirectoryEntry
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings

BASE = "/a2a/ard.api"
PUBLIC = "https://agents.example.com"


async def answer(turn: Turn) -> None: ...


def travel(slug: str, *words: str, **more: Any) -> Any:
    skill = AgentSkill(
        id=slug, name=slug, description=slug, tags=list(words), examples=["Go there"]
    )
    return make_agent(answer, slug=slug, name=slug.title(), skills=[skill], **more)


AGENTS = [
    travel("flights", "flight", "booking", description="Books flights."),
    travel("hotels", "hotel", description="Knows where a booking of a flight may be slept off."),
    travel("invoices", "money", description="Files invoices."),
]


async def search(rpc: JsonRpcClient, text: str = "flights", **asked: Any) -> dict[str, Any]:
    query = {"text": text, **({"filter": asked.pop("filter")} if "filter" in asked else {})}
    body = {"query": query, **asked}
    response = await rpc.http.post(f"{BASE}/search", body, content_type="application/json")
    found: dict[str, Any] = json.loads(response.content)
    return found | {"status": response.status_code}


def found_in(answer: dict[str, Any]) -> list[str]:
    return [each["displayName"] for each in answer["results"]]


async def test_what_fits_best_is_found_first_and_without_what_it_was_found_by(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUBLIC_URL=PUBLIC)
    with registry.registered(*AGENTS):
        answered = await search(rpc, "Find me an agent that can book a flight")
        assert found_in(answered) == ["Flights", "Hotels"]
        first, second = answered["results"]
        assert 100 >= first["score"] > second["score"] > 0
        assert first["identifier"] == "urn:air:agents.example.com:flights:a2a"
        assert first["source"] == f"{PUBLIC}{BASE}/"
        assert "representativeQueries" not in first
        assert "referrals" not in answered
        assert (await search(rpc, federation="referrals"))["referrals"] == []
        assert found_in(await search(rpc, "quantum chromodynamics")) == []
        everything = await search(rpc, "agents", pageSize=100)
        assert len(everything["results"]) == len(list(registry))


async def test_a_filter_leaves_what_has_one_of_its_values(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUBLIC_URL=PUBLIC)
    with registry.registered(*AGENTS):
        for wanted, found in (
            ({"tags": ["hotel", "spaceship"]}, ["Hotels"]),
            ({"tags": "flight", "capabilities": ["flights"]}, ["Flights"]),
            ({"tags": ["flight"], "type": ["text/plain"]}, []),
            ({"publisher": ["agents.example.com"], "displayName": "Flights"}, ["Flights"]),
        ):
            assert found_in(await search(rpc, "flight", filter=wanted)) == found


async def test_results_come_in_pages(rpc: JsonRpcClient) -> None:
    with registry.registered(*AGENTS):
        seen: list[str] = []
        more: dict[str, str] = {}
        while True:
            page = await search(rpc, "agents", pageSize=2, **more)
            assert len(page["results"]) <= 2
            seen += found_in(page)
            if "pageToken" not in page:
                break
            more = {"pageToken": page["pageToken"]}
        listed = json.loads((await rpc.http.get(f"{BASE}/agents?pageSize=100")).content)
    assert seen == [each["displayName"] for each in listed["items"]]
    assert listed["total"] == len(seen)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"query": {}}, "query.text"),
        ({"query": "flights"}, "query.text"),
        ({"query": {"text": "x" * 2001}}, "query.text"),
        ({"query": {"text": "x", "filter": []}}, "query.filter"),
        ({"query": {"text": "x", "filter": {"metadata.region": "eu"}}}, "query.filter.metadata"),
        ({"query": {"text": "x"}, "federation": "all"}, "federation"),
        ({"query": {"text": "x"}, "pageSize": -1}, "pageSize"),
        ({"query": {"text": "x"}, "pageToken": "²"}, "pageToken"),
        ([], "object"),
    ],
)
async def test_what_is_wrong_with_a_query_is_said_as_ard_has_it(
    rpc: JsonRpcClient, asked: object, says: str
) -> None:
    response = await rpc.http.post(f"{BASE}/search", asked, content_type="application/json")
    error = json.loads(response.content)
    assert (response.status_code, error["errorCode"]) == (400, "INVALID_ARGUMENT")
    assert says in error["message"]


CARDS = "application/a2a-agent-card+json"


async def test_a_list_is_filtered_and_ordered_as_ard_has_it(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUBLIC_URL=PUBLIC)
    ours = "publisherId = 'agents.example.com'"
    with registry.registered(*AGENTS):
        everything = await listed(rpc)
        for wanted, order, found in (
            ("displayName = 'fLIGHTS'", "", ["Flights"]),
            ("displayName='flights, booked'", "", []),
            (f'type = "text/plain, {CARDS}" AND {ours} and displayName=hotels', "", ["Hotels"]),
            ("type = text/plain", "", []),
            ("publisherId = 'agents.example.com,other.example.com'", "", everything),
            (ours, "displayName", sorted(everything, key=str.casefold)),
            ("", "type DESC, name desc", sorted(everything, key=str.casefold, reverse=True)),
        ):
            assert await listed(rpc, filter=wanted, orderBy=order) == found


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("filter", "createdAfter > '2026-01-01'", "filter"),
        ("filter", "updatedAfter = '2026-01-01'", "filter.updatedAfter"),
        ("filter", "metadata.region = 'eu'", "filter"),
        ("filter", "tags = 'sea'", "filter.tags"),
        ("filter", "type = 'a' OR type = 'b'", "must have AND before"),
        ("filter", "type = 'a' AND ", "joined by AND"),
        ("filter", "type = 'a", "joined by AND"),
        ("filter", "type" * 501, "characters"),
        ("orderBy", "updatedAt DESC", "orderBy.updatedAt"),
        ("orderBy", "displayName sideways", "orderBy.displayName"),
        ("orderBy", "displayName,", "orderBy."),
    ],
)
async def test_what_ard_does_not_define_for_lists_is_refused_by_name(
    rpc: JsonRpcClient, name: str, value: str, says: str
) -> None:
    response = await rpc.http.get(f"{BASE}/agents", {name: value})
    error = json.loads(response.content)
    assert (response.status_code, error["errorCode"]) == (400, "INVALID_ARGUMENT")
    assert says in error["message"]


async def listed(rpc: JsonRpcClient, **asked: str) -> list[str]:
    response = await rpc.http.get(f"{BASE}/agents", {**asked, "pageSize": "100"})
    return [each["displayName"] for each in json.loads(response.content)["items"]]


async def test_an_entry_is_found_by_its_identifier_and_nothing_else_is(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(PUBLIC_URL=PUBLIC)
    listing = {"displayName": "Harbour", "type": "application/a2a-agent-card+json", "url": "x"}
    row = await sync_to_async(DirectoryEntry.objects.create)(
        name="harbour", url="https://harbour.example.com", is_public=True, listing=listing
    )
    elsewhere = f"{PUBLIC}{BASE}/agents/{row.pk.hex}"
    for identifier in ("urn:air:agents.example.com:echo:a2a", elsewhere):
        response = await rpc.http.get(f"{BASE}/agents/{quote(identifier, safe='')}")
        assert json.loads(response.content)["identifier"] == identifier
        assert response["Cache-Control"] == "public, max-age=300"
        # Who shows credentials may get other entries, of a cache too.
        assert "Authorization" in response["Vary"]
        known = {"If-None-Match": response["ETag"]}
        again = await rpc.http.get(f"{BASE}/agents/{quote(identifier, safe='')}", headers=known)
        assert again.status_code == 304
    assert found_in(await search(rpc, "harbour")) == ["Harbour"]
    missing = await rpc.http.get(f"{BASE}/agents/urn%3Aair%3Aagents.example.com%3Anobody%3Aa2a")
    assert (missing.status_code, json.loads(missing.content)["errorCode"]) == (404, "NOT_FOUND")


async def test_what_a_registry_need_not_do_is_refused_and_who_asks_too_often_too(
    a2a: ChangeSettings, rpc: JsonRpcClient, one_minute: None
) -> None:
    asked = {"resultType": {"facets": [{"field": "type"}]}}
    response = await rpc.http.post(f"{BASE}/explore", asked, content_type="application/json")
    assert response.status_code == 501
    a2a(REQUESTS_PER_MINUTE=1)
    answered, refused = [await search(rpc) for _ in range(2)]
    assert "errorCode" not in answered
    assert (refused["status"], refused["errorCode"]) == (429, "RATE_LIMIT_EXCEEDED")


def test_so_many_words_of_a_query_count() -> None:
    entry = {"identifier": "urn:air:example.com:x", "displayName": "flight"}
    others = [f"word{number}" for number in range(29)]
    assert ranked([entry], " ".join([*others, "flights"]))
    assert not ranked([entry], " ".join([*others, "one", "flights"]))
