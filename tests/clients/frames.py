"""Frames of real WebSockets, sorted by the calls that they answer."""

import json
from collections import defaultdict
from typing import Any

from websockets.asyncio.client import ClientConnection


async def frames_of(client: ClientConnection, count: int) -> dict[int, list[Any]]:
    """Return the frames of some calls, by their ids, until so many streams have ended."""
    found: dict[int, list[Any]] = defaultdict(list)
    while count:
        frame = json.loads(await client.recv())
        found[frame["id"]].append(frame)
        count -= "streamEnd" in frame
    return found
