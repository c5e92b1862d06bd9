"""One layer used from several event loops, and from several processes."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import Queue

import pytest
from asgiref.sync import async_to_sync

from a2a_app.layers import PostgreSQLChannelLayer
from tests.layers.sessions import settle
from tests.servers import ROOT

SECONDS = 30
HELLO = {"type": "test.hello"}

# To start PostgreSQL, of which a test here may be the first user, does not count.
pytestmark = pytest.mark.timeout(SECONDS, func_only=True)


@asynccontextmanager
async def peer(database_url: str) -> AsyncIterator[str]:
    """Run the other process, and return its channel."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.layers.peer", cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ, "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "project.settings",
        },
    )  # fmt: skip  # one option a line hides what is run
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


async def test_another_process_hears_the_group_and_answers(
    database_url: str, layer: PostgreSQLChannelLayer
) -> None:
    channel = await layer.new_channel()
    async with asyncio.timeout(SECONDS), peer(database_url) as theirs:
        for text in ("small", "large" * 200_000):
            message = {"type": "test.question", "answer": channel, "text": text}
            await layer.group_send("group", message)
            assert (await layer.receive(channel))["text"] == text
            await layer.send(theirs, message)
            assert (await layer.receive(channel))["text"] == text


async def test_each_event_loop_has_channels_of_its_own(layer: PostgreSQLChannelLayer) -> None:
    named: Queue[str] = Queue()
    heard: list[str] = []

    async def listen() -> None:
        channel = await layer.new_channel()
        await layer.group_add("group", channel)
        named.put(channel)
        async with asyncio.timeout(SECONDS):
            heard.extend([(await layer.receive(channel))["type"] for _ in range(2)])

    thread = threading.Thread(target=asyncio.run, args=[listen()])
    thread.start()
    theirs = await asyncio.to_thread(named.get, timeout=SECONDS)
    ours = await layer.new_channel()
    await layer.group_add("group", ours)
    with pytest.raises(NotImplementedError):
        await layer.receive(theirs)
    await layer.send(theirs, {"type": "test.own"})
    await layer.group_send("group", HELLO)
    assert await layer.receive(ours) == HELLO
    await asyncio.to_thread(thread.join, SECONDS)
    assert heard == ["test.own", "test.hello"]


async def test_an_event_loop_that_has_ended_leaves_no_connection(
    database_url: str, layer: PostgreSQLChannelLayer
) -> None:
    ours = await layer.new_channel()
    await layer.group_add("group", ours)
    for _ in range(3):
        # As code without an event loop does: each call has one of its own.
        await asyncio.to_thread(async_to_sync(layer.group_send), "group", HELLO)
        assert await layer.receive(ours) == HELLO
    settle(database_url, 1)
