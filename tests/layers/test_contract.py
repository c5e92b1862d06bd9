"""The channel layer does what Channels' specification and its consumers ask for."""

import asyncio
from typing import Any

import pytest
from channels.exceptions import ChannelFull, MessageTooLarge
from django.core.exceptions import ImproperlyConfigured
from django.db.utils import ConnectionHandler

from a2a_app.layers import PostgreSQLChannelLayer
from tests.layers.conftest import Make

SECONDS = 20
HELLO = {"type": "test.hello"}
# A channel that was made elsewhere, long ago.
FOREIGN = "specific.elsewhere!1"

# To start PostgreSQL, of which a test here may be the first user, does not count.
pytestmark = pytest.mark.timeout(SECONDS, func_only=True)


def numbered(number: int) -> dict[str, Any]:
    return {"type": "test.number", "number": number}


async def numbers(layer: PostgreSQLChannelLayer, channel: str, count: int) -> list[int]:
    """Receive so many messages and return their numbers."""
    return [(await layer.receive(channel))["number"] for _ in range(count)]


async def joined(layer: PostgreSQLChannelLayer, *groups: str) -> str:
    """Make a channel that is in these groups."""
    channel = await layer.new_channel()
    for group in groups:
        await layer.group_add(group, channel)
    return channel


async def test_a_new_channel_is_process_specific_and_its_name_its_own(
    layer: PostgreSQLChannelLayer,
) -> None:
    names = [await layer.new_channel() for _ in range(3)] + [await layer.new_channel("mine")]
    assert len(set(names)) == 4
    assert all(layer.require_valid_channel_name(name) and "!" in name for name in names)
    assert names[-1].startswith("mine.")


@pytest.mark.parametrize("sender", ["layer", "other"])
async def test_a_channel_gives_its_messages_in_order(
    sender: str, request: pytest.FixtureRequest, layer: PostgreSQLChannelLayer
) -> None:
    channel = await layer.new_channel()
    for number in range(20):
        await request.getfixturevalue(sender).send(channel, numbered(number))
    assert await numbers(layer, channel, 20) == list(range(20))


@pytest.mark.parametrize("sender", ["layer", "other"])
async def test_a_message_may_hold_all_that_channels_allows(
    sender: str, request: pytest.FixtureRequest, layer: PostgreSQLChannelLayer
) -> None:
    message = {
        "bytes": b"\x00\xff",
        "text": "it's \\ \u00e4 \u2603 \U0001f600 \x00",
        "integers": [0, -(2**63), 2**63 - 1],
        "float": 1e-300,
        "dict": {"": {"nested": [[], {}]}},
        "rest": [True, False, None],
    }
    channel = await joined(layer, "group")
    await request.getfixturevalue(sender).send(channel, message)
    assert await layer.receive(channel) == message
    await request.getfixturevalue(sender).group_send("group", message)
    assert await layer.receive(channel) == message


async def test_a_message_that_cannot_be_carried_is_refused(layer: PostgreSQLChannelLayer) -> None:
    channel = await joined(layer, "group")
    wrong: list[Any] = ["text", None, {"type": object()}]
    for message in wrong:
        with pytest.raises(TypeError):
            await layer.send(channel, message)
        with pytest.raises(TypeError):
            await layer.group_send("group", message)


@pytest.mark.parametrize("name", ["", "with space", "ümlaut", "x" * 100, "two!!marks", None])
async def test_a_bad_name_is_refused(layer: PostgreSQLChannelLayer, name: Any) -> None:
    channel = await layer.new_channel()
    for call in (
        layer.send(name, HELLO),
        layer.receive(name),
        layer.group_add("group", name),
        layer.group_add(name, channel),
        layer.group_discard("group", name),
        layer.group_discard(name, channel),
        layer.group_send(name, HELLO),
    ):
        with pytest.raises(TypeError, match="name must be"):
            await call


async def test_a_channel_that_anybody_might_read_is_refused(layer: PostgreSQLChannelLayer) -> None:
    for call in (
        layer.send("anybody", HELLO),
        layer.receive("anybody"),
        layer.group_add("group", "anybody"),
    ):
        with pytest.raises(NotImplementedError, match="anybody is no process-specific channel"):
            await call
    await layer.group_discard("group", "anybody")


async def test_a_channel_of_another_process_is_read_and_joined_only_there(
    layer: PostgreSQLChannelLayer, other: PostgreSQLChannelLayer
) -> None:
    for channel in (FOREIGN, await other.new_channel()):
        for call in (layer.receive(channel), layer.group_add("group", channel)):
            with pytest.raises(NotImplementedError, match="no channel of this event loop"):
                await call
        await layer.group_discard("group", channel)
        await layer.send(channel, HELLO)


async def test_a_full_channel_takes_no_more(make: Make) -> None:
    layer = make(capacity=2, channel_capacity={"small.*": 1})
    for prefix, capacity in (("large", 2), ("small", 1)):
        channel = await layer.new_channel(prefix)
        for number in range(capacity):
            await layer.send(channel, numbered(number))
        with pytest.raises(ChannelFull):
            await layer.send(channel, HELLO)
        assert await numbers(layer, channel, 1) == [0]
        await layer.send(channel, HELLO)


async def test_a_message_to_a_group_is_dropped_where_a_channel_is_full(make: Make) -> None:
    layer = make(capacity=2)
    full, end = await joined(layer, "group"), await joined(layer, "end")
    for number in range(4):
        await layer.group_send("group", numbered(number))
    await layer.group_send("end", HELLO)
    await layer.receive(end)  # and so all before it has come
    await layer.receive(full)
    await layer.group_send("group", numbered(4))
    assert await numbers(layer, full, 2) == [1, 4]


async def test_an_unread_message_expires(make: Make) -> None:
    layer = make(expiry=0)
    channel = await layer.new_channel()
    await layer.send(channel, HELLO)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.receive(channel), 0.05)


async def test_a_group_reaches_every_member_on_every_side_once(
    layer: PostgreSQLChannelLayer, other: PostgreSQLChannelLayer
) -> None:
    sides = [layer, layer, other]
    channels = [await joined(each, "group", "group", "end") for each in sides]
    await layer.group_send("group", numbered(1))
    await other.group_send("group", numbered(2))
    await layer.group_send("end", numbered(3))
    for side, channel in zip(sides, channels, strict=True):
        assert await numbers(side, channel, 3) == [1, 2, 3]


async def test_members_do_not_share_what_they_get(layer: PostgreSQLChannelLayer) -> None:
    channels = [await joined(layer, "group") for _ in range(2)]
    await layer.group_send("group", {"type": "test.list", "list": []})
    for channel in channels:
        message = await layer.receive(channel)
        assert message["list"] == []
        message["list"].append("changed")


async def test_a_channel_that_has_left_a_group_hears_it_no_more(
    layer: PostgreSQLChannelLayer, other: PostgreSQLChannelLayer
) -> None:
    left, stays = [await joined(layer, "group", "end") for _ in range(2)]
    await layer.group_discard("group", left)
    await layer.group_discard("group", left)
    await layer.group_discard("never.joined", left)
    await other.group_send("group", numbered(1))
    await other.group_send("end", numbered(2))
    assert await numbers(layer, stays, 2) == [1, 2]
    assert await numbers(layer, left, 1) == [2]
    await layer.group_discard("group", stays)
    await layer.group_add("group", left)
    await other.group_send("group", numbered(3))
    await other.group_send("end", numbered(4))
    assert await numbers(layer, left, 2) == [3, 4]
    assert await numbers(layer, stays, 1) == [4]


async def test_a_group_that_nobody_is_in_takes_messages(layer: PostgreSQLChannelLayer) -> None:
    await layer.group_send("nobody", HELLO)


async def test_membership_ends_without_another_joining(make: Make) -> None:
    layer = make(group_expiry=-1)
    forgotten = await joined(layer, "group")
    await layer.group_send("group", numbered(1))
    await layer.send(forgotten, numbered(2))
    assert await numbers(layer, forgotten, 1) == [2]


async def test_groups_of_layers_with_different_prefixes_are_different(make: Make) -> None:
    layer, apart = make(), make(prefix="apart")
    channel = await joined(layer, "group")
    await apart.group_send("group", numbered(1))
    await layer.group_send("group", numbered(2))
    assert await numbers(layer, channel, 1) == [2]


async def test_a_receive_that_is_cancelled_loses_nothing(layer: PostgreSQLChannelLayer) -> None:
    channel = await joined(layer, "group")
    for number in range(20):
        waiting = asyncio.create_task(layer.receive(channel))
        sending = asyncio.create_task(layer.group_send("group", numbered(number)))
        for _ in range(number):  # cancelled at ever later moments
            await asyncio.sleep(0)
        waiting.cancel()
        [received] = await asyncio.gather(waiting, return_exceptions=True)
        await sending
        if not isinstance(received, dict):
            received = await layer.receive(channel)
        assert received["number"] == number


async def test_of_several_receivers_each_gets_other_messages(layer: PostgreSQLChannelLayer) -> None:
    channel = await joined(layer, "group")
    readers = [asyncio.create_task(numbers(layer, channel, 5)) for _ in range(4)]
    await asyncio.gather(*(layer.group_send("group", numbered(n)) for n in range(20)))
    received = [number for some in await asyncio.gather(*readers) for number in some]
    assert sorted(received) == list(range(20))


async def test_messages_that_are_sent_at_the_same_time_arrive_once_and_in_order(make: Make) -> None:
    layer, other = make(capacity=2_000), make()
    channel = await joined(layer, "group")

    async def some(side: PostgreSQLChannelLayer, first: int) -> None:
        sending = [side.group_send("group", numbered(first + n)) for n in range(100)]
        await asyncio.gather(*sending)

    await asyncio.gather(*(some(side, 100 * k) for k, side in enumerate([layer, other] * 5)))
    received = await numbers(layer, channel, 1_000)
    for first in range(0, 1_000, 100):
        own = [number for number in received if first <= number < first + 100]
        assert own == list(range(first, first + 100))


async def test_a_message_may_be_large(
    layer: PostgreSQLChannelLayer, other: PostgreSQLChannelLayer
) -> None:
    texts = [letter * 1_000_000 for letter in "abcd"]
    channel = await joined(layer, "group")
    # Two at the same time from each side: their pieces must not get mixed up.
    await asyncio.gather(
        *(
            side.group_send("group", {"type": "test.large", "text": text, "small": [0.5] * 10})
            for side, text in zip([layer, other] * 2, texts, strict=True)
        )
    )
    received = [(await layer.receive(channel))["text"] for _ in texts]
    assert sorted(received) == texts


async def test_a_message_may_not_be_larger_than_the_limit(layer: PostgreSQLChannelLayer) -> None:
    channel = await joined(layer, "group")
    large = {"type": "test.large", "text": "x" * (4 * 1024 * 1024)}
    with pytest.raises(MessageTooLarge, match="are the most"):
        await layer.group_send("group", large)
    with pytest.raises(MessageTooLarge):
        await layer.send(channel, large)


async def test_flush_leaves_a_blank_layer_that_works(layer: PostgreSQLChannelLayer) -> None:
    channel, end = await joined(layer, "group"), await layer.new_channel()
    await layer.send(channel, numbered(1))
    waiting = asyncio.create_task(layer.receive(end))
    await layer.group_send("group", numbered(2))
    await layer.flush()
    await layer.group_send("group", numbered(3))
    await layer.send(end, HELLO)
    assert await waiting == HELLO
    await layer.group_add("group", channel)
    await layer.group_send("group", numbered(4))
    assert await numbers(layer, channel, 1) == [4]


@pytest.mark.parametrize("database", ["default", "nowhere"])
def test_a_database_that_is_no_postgresql_is_refused(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite = {"default": {"ENGINE": "django.db.backends.sqlite3"}}
    monkeypatch.setattr("a2a_app.layers.postgresql.connections", ConnectionHandler(sqlite))
    with pytest.raises(ImproperlyConfigured, match=f"'{database}', which is no PostgreSQL"):
        PostgreSQLChannelLayer(database)
