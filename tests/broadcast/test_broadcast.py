"""Messages between processes, while their channel layer is away and after."""

import asyncio
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import redis
from channels.layers import channel_layers, get_channel_layer
from pytest_django import Settings

from a2a_app import broadcast
from a2a_app.concurrency import outages
from a2a_app.concurrency.event_loop import SharedTimeout
from tests.channel_layers import Slow, Wavering

SECONDS = 10
HOW: list[Literal["fails", "hangs"]] = ["fails", "hangs"]


@pytest.fixture
def layer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wavering]:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Wavering"}}
    monkeypatch.setattr(broadcast, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(broadcast, "TIMEOUT_SECONDS", 0.05)
    made = get_channel_layer()
    assert isinstance(made, Wavering)
    yield made
    channel_layers.backends.clear()


@pytest.fixture
def slow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Slow"}}
    monkeypatch.setattr(broadcast, "TIMEOUT_SECONDS", 0.2)
    made = get_channel_layer()
    assert isinstance(made, Slow)
    yield made
    channel_layers.backends.clear()


class GroupListener:
    """Listens to a group to which another process publishes."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._elsewhere = broadcast.Hub(get_channel_layer())
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def listen(self) -> None:
        await broadcast.listen(self.group, self.heard.put_nowait)

    async def publish_elsewhere(self, text: str) -> None:
        """Publish to the group from another process."""
        await self._elsewhere.send(self.group, {"text": text})

    async def hears(self, text: str) -> bool:
        """Publish to the group until this is heard."""
        async with asyncio.timeout(SECONDS):
            while True:
                await self.publish_elsewhere(text)
                try:
                    async with asyncio.timeout(0.05):
                        while (await self.heard.get())["text"] != text:
                            pass
                        return True
                except TimeoutError:
                    continue


@pytest.mark.parametrize("how", HOW)
async def test_groups_joined_before_and_during_an_outage_are_heard_after_it(
    layer: Wavering, how: Literal["fails", "hangs"]
) -> None:
    before, during = GroupListener("before"), GroupListener("during")
    await before.listen()
    assert await before.hears("before")
    layer.go_away(how)
    await broadcast.publish("before", {"text": "lost"})
    await during.listen()
    layer.come_back()
    assert await before.hears("after") and await during.hears("after")


async def test_a_group_is_heard_also_after_the_day_for_which_a_layer_knows_its_members(
    layer: Wavering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "REJOIN_SECONDS", 0.01)
    listener = GroupListener("group")
    await listener.listen()
    assert await listener.hears("on the first day")
    layer.groups.clear()
    assert await listener.hears("on the second")


@pytest.mark.parametrize("how", HOW)
async def test_a_process_that_starts_during_an_outage_hears_after_it(
    layer: Wavering, how: Literal["fails", "hangs"]
) -> None:
    layer.go_away(how)
    listener = GroupListener("first")
    await listener.listen()
    layer.come_back()
    assert await listener.hears("after")


@pytest.mark.parametrize("how", ["", *HOW])
async def test_a_listener_in_the_publishing_process_hears_at_once_and_once_whatever_the_layer_does(
    layer: Wavering, how: Literal["", "fails", "hangs"]
) -> None:
    near, far = GroupListener("group"), GroupListener("other")
    await near.listen()
    await far.listen()
    if how:
        layer.go_away(how)
    publishing = asyncio.create_task(broadcast.publish("group", {"text": "heard"}))
    async with asyncio.timeout(SECONDS):
        assert (await near.heard.get())["text"] == "heard"
        await publishing
    layer.come_back()
    assert await near.hears("the next") and await far.hears("something")
    assert near.heard.empty()


async def test_a_listener_of_this_process_only_does_not_ask_the_layer(layer: Wavering) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    await GroupListener("another").listen()
    broadcast.listen_here("group", heard.put_nowait)
    assert "group" not in layer.groups
    await broadcast.publish("group", {"text": "heard"})
    assert heard.get_nowait()["text"] == "heard"
    await broadcast.leave("group", heard.put_nowait)
    await broadcast.publish("group", {"text": "not heard"})
    assert heard.empty()


async def test_a_group_that_all_have_left_while_it_was_joined_is_left(slow: Slow) -> None:
    joining = asyncio.create_task(broadcast.listen("group", print))
    await asyncio.sleep(0)
    await broadcast.leave("group", print)
    await joining
    # Slow answers one after the other: after the next, all that was asked for is done.
    await broadcast.listen("another", print)
    assert not slow.groups.get("group")
    assert list(slow.groups["another"])


@pytest.mark.slow
async def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(
    layer: Wavering, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "WAVERING_SECONDS", 0)  # as if the second one came much later
    listener = GroupListener("group")
    await listener.listen()
    for outage in range(1, 3):
        layer.go_away("fails")
        for number in range(20):
            await broadcast.publish(f"group{number}", {})
        layer.come_back()
        assert await listener.hears("after")
        said = [record.getMessage() for record in caplog.records]
        assert (
            said
            == [
                "The channel layer does not answer: The layer's server is gone.",
                "The channel layer answers again.",
            ]
            * outage
        )


async def test_only_the_first_to_use_a_layer_that_hangs_wait_for_it(
    layer: Wavering, monkeypatch: pytest.MonkeyPatch
) -> None:
    await GroupListener("group").listen()
    layer.go_away("hangs")
    await broadcast.publish("group", {})
    monkeypatch.setattr(broadcast, "TIMEOUT_SECONDS", 600)
    async with asyncio.timeout(SECONDS):
        for number in range(100):
            await broadcast.publish("group", {})
            await broadcast.listen(f"group{number}", print)
            await broadcast.leave(f"group{number}", print)


async def test_a_connection_that_was_closed_while_unused_loses_no_message(
    layer: Wavering, caplog: pytest.LogCaptureFixture
) -> None:
    listener = GroupListener("group")
    await listener.listen()
    layer.close_connections(1)
    await listener.publish_elsewhere("heard")
    async with asyncio.timeout(SECONDS):
        assert (await listener.heard.get())["text"] == "heard"
    assert not caplog.records


@pytest.mark.slow
async def test_a_layer_that_is_busy_with_many_does_not_count_as_away(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(SECONDS):
        # All together take four times as long as one may.
        await asyncio.gather(*[broadcast.listen(f"group{number}", print) for number in range(40)])
    assert len(slow.groups) == 40
    assert not caplog.records


@pytest.mark.slow
async def test_nobody_waits_for_ever_while_others_are_answered() -> None:
    timeout = SharedTimeout()

    async def ask(answered: asyncio.Event) -> None:
        await timeout.wait(answered.wait(), 0.2)

    forgotten = asyncio.create_task(ask(asyncio.Event()))
    async with asyncio.timeout(SECONDS):
        while not forgotten.done():
            answered = asyncio.Event()
            asyncio.get_running_loop().call_later(0.005, answered.set)
            await ask(answered)
    with pytest.raises(TimeoutError):
        await forgotten


async def test_a_layer_with_nothing_to_receive_for_a_while_does_not_count_as_away(
    layer: Wavering, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = layer.receive
    silences = 3

    async def receive_or_find_nothing(channel: str) -> Any:
        """Do as channels_redis.core does after five seconds."""
        nonlocal silences
        if silences:
            silences -= 1
            raise redis.TimeoutError("Timeout reading from 127.0.0.1:6379")
        return await receive(channel)

    monkeypatch.setattr(layer, "receive", receive_or_find_nothing)
    listener = GroupListener("group")
    await listener.listen()
    assert await listener.hears("something")
    assert not silences and not caplog.records


async def test_a_reader_that_hears_late_that_its_connection_is_gone_begins_no_second_outage(
    layer: Wavering, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive, gone = layer.receive, asyncio.Event()

    async def receive_until_gone(channel: str) -> Any:
        reading = asyncio.ensure_future(receive(channel))
        hearing = asyncio.ensure_future(gone.wait())
        await asyncio.wait([reading, hearing], return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            hearing.cancel()
            return reading.result()
        reading.cancel()
        gone.clear()
        raise ConnectionError("Connection closed by server.")

    monkeypatch.setattr(layer, "receive", receive_until_gone)
    listener = GroupListener("group")
    await listener.listen()
    layer.go_away("fails")
    await broadcast.publish("another", {})
    layer.come_back()
    # It must not hear a message before, or it would read by a new connection.
    async with asyncio.timeout(SECONDS):
        while len(caplog.records) < 2:
            await asyncio.to_thread(int)
        gone.set()
        while gone.is_set():
            await asyncio.to_thread(int)
    assert await listener.hears("after")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "The channel layer does not answer: The layer's server is gone.",
        "The channel layer answers again.",
    ]
