"""The directory: who registers agents elsewhere, what is found there, and who finds them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from typing import Any, cast

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from a2a_app import database, directory
from a2a_app.client import RemoteAgent, RemoteAgentError, rounds
from a2a_app.client.rounds import visit_overdue
from a2a_app.client.visits import visit, visit_all
from a2a_app.models import DirectoryEntry
from a2a_app.protocol import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from tests.clients.json_rpc import JsonRpcClient
from tests.conftest import ChangeSettings
from tests.listening import listening
from tests.resolver import resolve_by

pytestmark = pytest.mark.usefixtures("runtime")

ADD = reverse("admin:a2a_app_directoryentry_add")
LIST = reverse("admin:a2a_app_directoryentry_changelist")
CARD_PATH = "/.well-known/agent-card.json"
SECONDS = 30
CATALOG_PATH = "/.well-known/ai-catalog.json"


@dataclass
class Elsewhere:
    """A server with nothing but a card."""

    url: str = ""
    card: dict[str, Any] | None = field(default_factory=dict)
    catalog: object = None

    def described(self, **changes: Any) -> dict[str, Any]:
        """Return a card of an agent here."""
        skill = AgentSkill(id="tides", name="Tides", description="Knows tides.", tags=["sea"])
        interface = AgentInterface(
            url=f"{self.url}/a2a", protocol_binding="JSONRPC", protocol_version="1.0"
        )
        card = AgentCard(
            name="Harbour",
            description="Knows ships.",
            version="1",
            supported_interfaces=[interface],
            capabilities=AgentCapabilities(streaming=True),
            default_input_modes=["text/plain"],
            default_output_modes=["text/plain"],
            skills=[skill],
        )
        return {**card.to_dict(), **changes}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request: with the card where that is, and with 404 elsewhere."""
        head = await reader.readuntil(b"\r\n\r\n")
        found = {CARD_PATH: self.card, CATALOG_PATH: self.catalog}.get(head.split()[1].decode())
        status, body = (404, b"{}") if found is None else (200, json.dumps(found).encode())
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status} X\r\n{more}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    there = Elsewhere()
    async with listening(there.serve) as port:
        there.url = f"http://127.0.0.1:{port}"
        there.card = there.described()
        yield there


@pytest.fixture(autouse=True)
def _open_to_loopback(a2a: ChangeSettings) -> None:
    a2a(PUSH_HOSTS=["127.0.0.1"], PUSH_ALLOW_HTTP=True)


async def staff(*permissions: str) -> AsyncClient:
    def make() -> AsyncClient:
        user = User.objects.create(username="ann", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        browser = AsyncClient()
        browser.force_login(user)
        return browser

    return await sync_to_async(make)()


async def submit(browser: AsyncClient, path: str, **fields: Any) -> HttpResponse:
    form = {"signature": "check", "key": "", **fields}
    return cast("HttpResponse", await browser.post(path, form, follow=True))


@sync_to_async
def entry(name: str = "harbour") -> DirectoryEntry:
    return DirectoryEntry.objects.get(name=name)


@sync_to_async
def register(url: str, name: str = "harbour", **fields: Any) -> DirectoryEntry:
    return DirectoryEntry.objects.create(name=name, url=url, **fields)


def command(*arguments: str) -> str:
    out = StringIO()
    try:
        call_command("a2a_directory", *arguments, stdout=out)
    except CommandError as error:
        out.write(str(error))
    return out.getvalue()


async def names_in_catalog(rpc: JsonRpcClient) -> dict[str, dict[str, Any]]:
    catalog = json.loads((await rpc.http.get("/.well-known/ai-catalog.json")).content)
    return {each["displayName"]: each for each in catalog["entries"]}


@pytest.mark.slow
async def test_staff_registers_an_agent_which_is_looked_at_listed_and_called_by_its_name(
    rpc: JsonRpcClient,
) -> None:
    browser = await staff("add_directoryentry", "view_directoryentry", "change_directoryentry")
    async with elsewhere() as there:
        page = await submit(browser, ADD, name="harbour", url=there.url, is_public="on")
        assert "The agent answers" in page.content.decode()
        found = await entry()
        assert found.card is not None and found.card["name"] == "Harbour"
        assert found.card_url == there.url + CARD_PATH
        async with RemoteAgent("harbour") as agent:
            assert agent.card.name == "Harbour"
        listed = (await names_in_catalog(rpc))["Harbour"]
        assert listed == {
            "identifier": f"http://testserver/a2a/ard.api/agents/{found.pk.hex}",
            "displayName": "Harbour",
            "description": "Knows ships.",
            "type": "application/a2a-agent-card+json",
            "url": there.url + CARD_PATH,
            "tags": ["sea"],
            "capabilities": ["tides"],
        }
        change = reverse("admin:a2a_app_directoryentry_change", args=[found.pk])
        shown = (await browser.get(change)).content.decode()
        assert "Knows ships." in shown
        await submit(browser, change, name="harbour", url=there.url)
    assert "Harbour" not in await names_in_catalog(rpc)


async def test_an_agent_that_does_not_answer_is_noted_and_what_was_found_stays(
    rpc: JsonRpcClient,
) -> None:
    async with elsewhere() as there:
        await register(there.url, is_public=True)
        assert "not looked at yet" in await sync_to_async(command)()
        assert "well" in await sync_to_async(command)("--refresh")
        card, there.card = there.card, None
        said = await sync_to_async(command)("harbour", "--refresh")
        assert "1 of 1 do not answer as they must." in said
        assert "There is no card at" in said
        since = (await entry()).failing_since
        assert since is not None
        await visit_all(["harbour"])
        assert (await entry()).failing_since == since
        assert "Harbour" in await names_in_catalog(rpc)
        browser = await staff("view_directoryentry")
        assert "fails: There is no card at" in (await browser.get(LIST)).content.decode()
        there.card = card
        assert await visit("harbour") == ""
        assert (await entry()).failing_since is None
    assert "The directory has no other." in await sync_to_async(command)("other")


async def test_agents_are_looked_at_again_after_a_time_by_one_process_of_all(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with elsewhere() as there:
        await register(there.url)
        await register(there.url + "/nothing", "lost")
        a2a(DIRECTORY_SECONDS=0)
        assert await visit_overdue() == [], "only staff looks"
        a2a(DIRECTORY_SECONDS=3600)
        assert sorted(await visit_overdue()) == ["harbour", "lost"]
        assert (await entry()).card is not None
        assert (await entry("lost")).failing_since is not None
        assert await visit_overdue() == [], "nothing is due"
        await age("harbour")
        assert await database.run(directory.claim_visits), "another process looks"
        assert await visit_overdue() == []
        await database.run(directory.release_visits)
        assert sorted(await asyncio.gather(visit_overdue(), visit_overdue())) == [[], ["harbour"]]
        monkeypatch.setattr(rounds, "MOST", 1)
        await age("lost")
        await age("harbour")
        assert [await visit_overdue() for _ in range(3)] == [["lost"], ["harbour"], []]


async def test_rounds_go_on_for_ever(a2a: ChangeSettings) -> None:
    a2a(DIRECTORY_SECONDS=0.01)
    async with elsewhere() as there:
        await register(there.url)
        work = asyncio.create_task(rounds.visit_for_ever())
        async with asyncio.timeout(SECONDS):
            while (await entry()).card is None:  # noqa: ASYNC110  # in a table
                await asyncio.sleep(0.01)
            # What changes there is seen, whoever asks.
            there.card = there.described(name="Quay")
            while ((await entry()).card or {})["name"] != "Quay":  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.wait([work])


@sync_to_async
def age(name: str) -> None:
    """Have an entry look as if its agent had been looked at two hours ago."""
    long_ago = timezone.now() - timedelta(hours=2)
    DirectoryEntry.objects.filter(name=name).update(checked_at=long_ago)


async def test_what_others_write_into_their_cards_stays_short_in_ours(rpc: JsonRpcClient) -> None:
    async with elsewhere() as there:
        await register(there.url, is_public=True)
        skill = {"id": "x" * 900, "name": "X", "description": "X", "tags": ["t"] * 3}
        skills = [{**skill, "tags": [f"tag {number}"]} for number in range(100)]
        there.card = there.described(description="long " * 900, skills=skills)
        assert await visit("harbour") == ""
        listed = (await names_in_catalog(rpc))["Harbour"]
        assert len(json.dumps(listed)) < 4000
        there.card = there.described(description="x" * 300_000)
        assert "bytes" in await visit("harbour")


@pytest.mark.parametrize(
    ("named", "is_kept"),
    [
        ("urn:air:harbour.example.com:harbour:a2a", True),
        ("urn:air:elsewhere.example.com:harbour:a2a", False),
        ("https://harbour.example.com/a2a", False),
        (None, False),
    ],
)
async def test_an_agent_keeps_the_name_that_its_own_site_has_for_it(
    rpc: JsonRpcClient,
    a2a: ChangeSettings,
    monkeypatch: pytest.MonkeyPatch,
    named: object,
    is_kept: bool,
) -> None:
    host = "harbour.example.com"
    a2a(PUSH_HOSTS=[host])
    resolve_by(monkeypatch, lambda name: ["127.0.0.1"])
    async with elsewhere() as there:
        url = there.url.replace("127.0.0.1", host)
        there.card = there.described()
        other = {"identifier": f"urn:air:{host}:other:a2a", "url": f"{url}/other"}
        there.catalog = {"entries": [other, {"identifier": named, "url": url + CARD_PATH}]}
        for name in ("harbour", "again"):
            await register(url, name, is_public=True)
            assert await visit(name) == ""
    catalog = json.loads((await rpc.http.get("/.well-known/ai-catalog.json")).content)
    found = [each["identifier"] for each in catalog["entries"] if each["displayName"] == "Harbour"]
    assert len(found) == len(set(found)) == 2
    assert (found[0] == named) is is_kept
    assert found[1].startswith("http://testserver/a2a/ard.api/agents/")


@pytest.mark.parametrize(
    ("signature", "says"), [("require", "not verified"), ("check", ""), ("ignore", "")]
)
async def test_an_entry_may_want_a_signature(signature: str, says: str) -> None:
    async with elsewhere() as there:
        await register(there.url, signature=signature)
        assert says in await visit("harbour")
        assert bool((await entry()).error) is bool(says)


async def test_the_directory_leads_to_no_address_that_is_not_public(a2a: ChangeSettings) -> None:
    browser = await staff("add_directoryentry")
    async with elsewhere() as there:
        await register(there.url)
        a2a(PUSH_HOSTS=[".example.com"])
        assert "PUSH_HOSTS" in await visit("harbour")
        with pytest.raises(RemoteAgentError, match="PUSH_HOSTS"):
            async with RemoteAgent("harbour"):
                pass
        page = await submit(browser, ADD, name="other", url=there.url)
        assert "PUSH_HOSTS" in page.content.decode()
    assert await sync_to_async(DirectoryEntry.objects.count)() == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": "echo"}, "An agent of this project has that slug."),
        ({"name": "known"}, "has that name."),
        ({"url": "ftp://127.0.0.1"}, "The URL must be an absolute https URL."),
        ({"key": "no key"}, "The key must be in PEM"),
    ],
)
async def test_a_form_says_what_is_wrong_with_it(
    a2a: ChangeSettings, fields: dict[str, str], says: str
) -> None:
    a2a(REMOTE_AGENTS={"known": {"URL": "https://known.example.com"}})
    browser = await staff("add_directoryentry")
    page = await submit(browser, ADD, **{"name": "new", "url": "http://127.0.0.1:1", **fields})
    assert says in page.content.decode()
    assert not await sync_to_async(DirectoryEntry.objects.exists)()


async def test_a_name_that_is_nowhere_is_refused_with_the_places_that_were_looked_at() -> None:
    with pytest.raises(RemoteAgentError, match="nor in the directory"):
        async with RemoteAgent("nowhere"):
            pass
    with pytest.raises(LookupError):
        await visit("nowhere")
