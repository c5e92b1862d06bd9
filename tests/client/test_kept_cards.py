"""Cards that are kept: for how long, for whom, and when they are forgotten all the same."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from a2a_app import runners
from a2a_app.agents import TaskState, Turn
from a2a_app.client import RemoteAgent, RemoteAgentError
from tests.client.peers import CardServer, Cutter
from tests.client.test_on_the_way import CARD
from tests.clients.operations import client_of
from tests.conftest import ChangeSettings
from tests.servers import fresh_database, web_server

BARE = {name: value for name, value in CARD.items() if name != "supportedInterfaces"}
AN_HOUR = {"Cache_Control": "public, max-age=3600", "ETag": "yes"}
NEW = {**BARE, "name": "New"}


async def name_of(agent: str, **how: Any) -> str:
    """Connect to an agent, and return the name on its card."""
    async with RemoteAgent(agent, **how) as remote:
        return remote.card.name


@pytest.mark.usefixtures("runtime")
async def test_a_turn_asks_again_and_again_and_fetches_one_card(a2a: ChangeSettings) -> None:
    async def agent(turn: Turn) -> str:
        first = await turn.ask("echo", "One")
        return f"{first.text} {(await turn.ask('echo', 'Two')).text}"

    with fresh_database("sqlite") as database_url:
        server = web_server("daphne", database_url=database_url)
        server.start()
        try:
            async with Cutter(server.port, events=0, times=0) as way:
                a2a(REMOTE_AGENTS={"echo": {"URL": f"{way.url}/a2a/echo"}})
                await runners.current().begin()
                with client_of(agent, durable=True) as client:
                    for _ in range(2):
                        task = await client.send()
                        assert task.status.state is TaskState.COMPLETED
                assert way.cards_asked_for == 1
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("headers", "fetched", "is_confirmed"),
    [
        (AN_HOUR, 1, False),
        ({"Cache_Control": "max-age=3600"}, 1, False),
        ({"Cache_Control": 'private, Max-Age="3600"'}, 1, False),
        ({**AN_HOUR, "Age": "3600"}, 3, True),
        ({"Cache_Control": "max-age=0", "ETag": "yes"}, 3, True),
        ({"Cache_Control": "no-cache, max-age=3600", "ETag": "yes"}, 3, True),
        ({"ETag": "yes"}, 3, True),
        ({"Cache_Control": "no-store, max-age=3600", "ETag": "yes"}, 3, False),
        ({**AN_HOUR, "Vary": "*"}, 3, False),
        ({"Cache_Control": "max-age=a lot"}, 3, False),
        ({"Cache_Control": f"max-age={'9' * 5000}"}, 3, False),
        ({}, 3, False),
    ],
)
async def test_a_card_is_kept_as_its_server_says(
    a2a: ChangeSettings, headers: dict[str, str], fetched: int, is_confirmed: bool
) -> None:
    async with CardServer(BARE, **headers) as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url}})
        assert [await name_of("peer") for _ in range(3)] == ["Peer"] * 3
        assert len(server.asked) == fetched
        assert [bool(known) for known in server.asked[1:]] == [is_confirmed] * (fetched - 1)
        server.card = NEW
        assert await name_of("peer") == ("Peer" if fetched == 1 else "New")


@pytest.mark.slow
async def test_a_changed_card_is_seen_after_its_age(a2a: ChangeSettings) -> None:
    async with CardServer(BARE, Cache_Control="max-age=1", ETag="yes") as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url}})
        assert await name_of("peer") == "Peer"
        server.card = NEW
        async with asyncio.timeout(30):
            while await name_of("peer") != "New":
                pass
        assert server.asked[0] == "" and all(server.asked[1:])


async def test_a_card_is_only_for_who_has_asked_for_it(a2a: ChangeSettings) -> None:
    async with CardServer(BARE, **AN_HOUR) as server:
        one = {"URL": server.url, "AUTH_CREDENTIALS": "a"}
        a2a(REMOTE_AGENTS={"one": one, "two": {**one, "AUTH_CREDENTIALS": "b"}})
        for given in ({}, {"headers": {"X-User": "a"}}, {"headers": {"X-User": "b"}}):
            for name in ("one", "two") * 2:
                await name_of(name, **given)
        assert server.asked == [""] * 6


async def test_what_is_done_with_a_card_is_not_done_to_the_one_that_is_kept(
    a2a: ChangeSettings,
) -> None:
    async with CardServer(BARE, **AN_HOUR) as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url}})
        async with RemoteAgent("peer") as remote:
            remote.card.name = "Mine"
            remote.card.capabilities.streaming = True
        async with RemoteAgent("peer") as remote:
            assert (remote.card.name, remote.card.capabilities.streaming) == ("Peer", False)
        assert len(server.asked) == 1


async def test_a_card_that_has_led_to_a_failure_is_forgotten(a2a: ChangeSettings) -> None:
    async with CardServer(BARE, **AN_HOUR) as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url}})
        await name_of("peer")
        server.path = "/moved"
        async with RemoteAgent("peer") as remote:
            with pytest.raises(RemoteAgentError):
                await remote.get("t")
        async with RemoteAgent("peer") as remote:
            assert (await remote.get("t")).state is TaskState.COMPLETED
        assert len(server.asked) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("runtime")
async def test_a_turn_asks_though_the_card_that_is_kept_is_out_of_date(
    a2a: ChangeSettings,
) -> None:
    async def agent(turn: Turn) -> str:
        return (await turn.ask("peer", "Hello")).state or ""

    async with CardServer(BARE, **AN_HOUR) as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url}})
        await name_of("peer")
        server.path = "/moved"
        await runners.current().begin()
        with client_of(agent, durable=True) as client:
            task = await client.send()
        assert task.status.state is TaskState.COMPLETED
        assert (len(server.asked), server.messages) == (2, 1)


@pytest.mark.usefixtures("runtime")
async def test_a_turn_does_not_ask_again_where_the_other_agent_may_have_taken_it(
    a2a: ChangeSettings,
) -> None:
    async def agent(turn: Turn) -> None:
        await turn.ask("peer", "Hello")

    async with CardServer(BARE, **AN_HOUR) as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url}})
        await name_of("peer")
        server.garbles = True
        await runners.current().begin()
        with client_of(agent, durable=True) as client:
            task = await client.send()
        assert task.status.state is TaskState.FAILED
        assert server.messages == 1


async def test_a_card_that_lacks_what_is_wanted_is_asked_for_again_at_once(
    a2a: ChangeSettings,
) -> None:
    other = {"url": "/rpc", "protocolBinding": "GRPC", "protocolVersion": "1.0"}
    async with CardServer({**BARE, "supportedInterfaces": [other]}, **AN_HOUR) as server:
        a2a(REMOTE_AGENTS={"peer": {"URL": server.url}})
        with pytest.raises(RemoteAgentError, match="no interface"):
            await name_of("peer")
        server.card = BARE
        assert await name_of("peer") == "Peer"
        assert await name_of("peer", version="1.0") == "Peer"
        with pytest.raises(RemoteAgentError, match="no interface"):
            await name_of("peer", version="0.3")
        assert server.asked == [""] * 3


async def test_few_cards_are_kept_and_no_large_ones(
    a2a: ChangeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("a2a_app.client.cards.MOST_CARDS", 2)
    async with AsyncExitStack() as stack:
        large = {**BARE, "description": "x" * 33_000}
        cards = {"one": BARE, "two": BARE, "three": BARE, "large": large}
        servers = {
            name: await stack.enter_async_context(CardServer(card, **AN_HOUR))
            for name, card in cards.items()
        }
        a2a(REMOTE_AGENTS={name: {"URL": server.url} for name, server in servers.items()})
        for name in ("one", "two", "large", "large", "one", "three", "one", "two"):
            await name_of(name)
        fetched = {name: len(server.asked) for name, server in servers.items()}
        assert fetched == {"one": 1, "two": 2, "three": 1, "large": 2}
