"""The other process of the tests: a member of a group that answers what it hears.

    python -m tests.layers.peer

Prints its channel when it has joined. Each message names a channel to answer on.
"""

import asyncio

import django

from a2a_app.layers import PostgreSQLChannelLayer


async def answer() -> None:
    """Send each message's number and text back."""
    layer = PostgreSQLChannelLayer()
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    print(channel, flush=True)  # noqa: T201  # it is how the test hears of it
    while True:
        message = await layer.receive(channel)
        await layer.send(message["answer"], {"type": "test.answer", "text": message["text"]})


if __name__ == "__main__":
    django.setup()
    asyncio.run(answer())
