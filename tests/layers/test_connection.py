"""A layer whose connection is lost, or cannot be made."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from a2a_app.layers import PostgreSQLChannelLayer
from a2a_app.layers.connection import NotifyConnection
from tests.layers.sessions import away, cut_off, settle

SECONDS = 30
HELLO = {"type": "test.hello"}
AWAY = (psycopg.Error, OSError)

# To start PostgreSQL, of which a test here may be the first user, does not count.
pytestmark = pytest.mark.timeout(SECONDS, func_only=True)


async def joined(layer: PostgreSQLChannelLayer) -> str:
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    return channel


async def received(layer: PostgreSQLChannelLayer, channel: str, message: dict[str, Any]) -> None:
    """Receive until a message has come."""
    while await layer.receive(channel) != message:
        pass


async def test_after_its_connection_was_lost_a_layer_hears_again(
    database_url: str, layer: PostgreSQLChannelLayer, other: PostgreSQLChannelLayer
) -> None:
    channel = await joined(layer)
    await other.group_send("group", HELLO)
    for number in range(3):
        message = {"type": "test.number", "number": number}
        receiving = asyncio.create_task(received(layer, channel, message))
        assert cut_off(database_url) == 2
        while not receiving.done():
            with suppress(*AWAY):
                await other.group_send("group", message)
        await receiving
    # It is heard by its own name again, too.
    await other.send(channel, HELLO)
    await received(layer, channel, HELLO)


async def test_a_layer_takes_one_connection_for_each_event_loop(
    database_url: str, layer: PostgreSQLChannelLayer
) -> None:
    for _ in range(10):
        await joined(layer)
    await asyncio.gather(*(layer.group_send("group", HELLO) for _ in range(50)))
    settle(database_url, 1)
    await layer.flush()
    settle(database_url, 0)


async def test_while_the_database_is_away_sending_raises_and_receiving_waits(
    database_url: str, layer: PostgreSQLChannelLayer
) -> None:
    channel = await joined(layer)
    receiving = asyncio.create_task(layer.receive(channel))
    with away(database_url):
        await layer.group_discard("group", channel)
        for call in (
            layer.group_send("group", HELLO),
            layer.send("specific.elsewhere!1", HELLO),
            layer.group_add("group", channel),
        ):
            with pytest.raises(AWAY):
                await call
        new = await layer.new_channel()
    assert not receiving.done()
    await layer.group_add("group", new)
    await layer.group_send("group", HELLO)
    assert await layer.receive(new) == HELLO
    # A channel that failed to join is no member.
    await layer.send(channel, {"type": "test.own"})
    assert (await receiving)["type"] == "test.own"


async def test_a_member_that_joins_again_in_vain_stays_one(
    database_url: str, layer: PostgreSQLChannelLayer
) -> None:
    channel = await joined(layer)
    with away(database_url), pytest.raises(AWAY):
        await layer.group_add("group", channel)
    await layer.group_send("group", HELLO)
    assert await layer.receive(channel) == HELLO


async def test_a_layer_that_is_made_while_the_database_is_away_works_when_it_is_back(
    database_url: str, layer: PostgreSQLChannelLayer, other: PostgreSQLChannelLayer
) -> None:
    with away(database_url):
        channel = await layer.new_channel()
        receiving = asyncio.create_task(layer.receive(channel))
    async with asyncio.timeout(SECONDS):
        while not receiving.done():
            await other.send(channel, HELLO)
    assert await receiving == HELLO


async def test_requests_during_a_round_trip_go_into_the_next_one(
    layer: PostgreSQLChannelLayer,
) -> None:
    channel = await joined(layer)
    for steps in range(10):
        first = asyncio.create_task(layer.group_send("elsewhere", HELLO))
        for _ in range(steps):  # until it is under way, at one of these
            await asyncio.sleep(0)
        second = asyncio.create_task(layer.group_add("group", channel))
        async with asyncio.timeout(SECONDS / 2):
            await asyncio.gather(first, second)


@pytest.mark.slow
async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("a2a_app.layers.connection.EXCHANGE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]

        async def connect() -> "psycopg.AsyncConnection[Any]":
            return await psycopg.AsyncConnection.connect(host="127.0.0.1", port=port)

        connection = NotifyConnection(connect, list, lambda name, payload: None)
        for _ in range(2):
            with pytest.raises(TimeoutError, match=r"not answered for 0\.1 seconds"):
                await connection.ready()
        await connection.close()
