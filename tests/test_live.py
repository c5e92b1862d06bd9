"""The bell: what a channel layer that fails may cost."""

import asyncio

from pytest_django import Settings

from a2a_app import live

SECONDS = 20


async def test_a_layer_that_is_there_only_later_is_heard_then(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Late"}}
    heard: asyncio.Queue[live.Message] = asyncio.Queue()
    await asyncio.gather(*(live.listen(group, heard.put_nowait) for group in ("one", "two")))
    await live.listen("three", heard.put_nowait)
    await live.listen("three", heard.put_nowait)
    await live.publish("three", {"number": 3})
    async with asyncio.timeout(SECONDS):
        assert (await heard.get())["number"] == 3
