"""A message in pieces, and queues that nobody reads: nothing wrong gets through or stays."""

import asyncio
import weakref
from contextlib import suppress

import psycopg
import pytest

from a2a_app.layers.loop_state import LoopState
from a2a_app.layers.payloads import PIECE_CHARACTERS, Assembly, cut, pack, unpack
from a2a_app.layers.queues import ChannelQueues

SECONDS = 20
LARGE = {"type": "test.large", "text": "x" * 30_000}


def pieces(name: str = "m1") -> list[str]:
    """Return the payloads of a message of several pieces."""
    made = [payload.decode() for payload in cut(pack("", LARGE), name)]
    assert len(made) > 3
    return made


def test_a_message_is_put_together_when_its_last_piece_comes() -> None:
    assembly = Assembly()
    *first, last = pieces()
    assert [assembly.add(piece) for piece in first] == [None] * len(first)
    data = assembly.add(last)
    assert data is not None
    assert unpack(data) == ("", LARGE)


def test_every_piece_is_short_enough_for_notify() -> None:
    longest = max(len(payload) for payload in cut(pack("", {"text": "x" * 4_000_000}), "f" * 30))
    assert PIECE_CHARACTERS < longest < 8_000


@pytest.mark.parametrize(
    ("heard", "given"),
    [
        ([*pieces()[:1], *pieces()[2:]], []),
        (pieces()[1:], []),
        ([pieces("m1")[0], *pieces("m2")[1:]], []),
        ([pieces()[0], *pieces()], [("", LARGE)]),
    ],
    ids=["one is missing", "the first is missing", "of two messages", "begun twice"],
)
def test_only_pieces_that_follow_each_other_give_a_message(
    heard: list[str], given: list[tuple[str, dict[str, str]]]
) -> None:
    assembly = Assembly()
    whole = []
    for piece in heard:
        with suppress(ValueError):
            whole.append(assembly.add(piece))
    assert [unpack(data) for data in whole if data] == given
    # The next message is not the worse for it.
    *_, data = [assembly.add(piece) for piece in pieces("next")]
    assert data is not None
    assert unpack(data) == ("", LARGE)


def test_pieces_without_end_are_dropped() -> None:
    assembly = Assembly()
    with pytest.raises(ValueError, match="too many pieces"):
        for number in range(10_000):
            assert assembly.add(f"m1 1000000 {number} {'x' * PIECE_CHARACTERS}") is None


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "garbage",
        "a b c d",
        "m 1 0 ???",
        "m 1 0 eA==",
        "m 1 0 kwECAw==",
        "m 1 0 kqAF",
        "m 2 1 eA==",
    ],
)
async def test_a_notification_that_is_no_message_ends_nothing(
    database_url: str, foreign: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect() -> "psycopg.AsyncConnection[object]":
        return await psycopg.AsyncConnection.connect(database_url, autocommit=True)

    state = LoopState(connect, str, lambda channel: 10, expiry=60, group_expiry=60)
    await state.join("news", "channel")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_notify('news', %s)", [foreign])
    await state.notify("news", pack("", LARGE))
    async with asyncio.timeout(SECONDS):
        assert await state.queues.take("channel") == LARGE
    assert "was no message" in caplog.text
    await state.flush()


class Weighed(dict[str, object]):
    """A message that a weak reference can watch."""


async def test_a_message_that_nobody_reads_does_not_stay_in_memory() -> None:
    queues = ChannelQueues(expiry=0.01)
    gone = asyncio.Event()
    message = Weighed()
    watch = weakref.ref(message, lambda _: gone.set())
    queues.put("closed", message, 10)
    del message
    assert watch() is not None
    async with asyncio.timeout(SECONDS):
        await gone.wait()
