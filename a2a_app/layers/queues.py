"""Mailboxes: what waits unread in the channels of one event loop."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from channels.exceptions import ChannelFull

from a2a_app.layers.payloads import Message


@dataclass(slots=True)
class ChannelQueue:
    """One channel's unread messages, each with the time it expires, and its readers."""

    messages: deque[tuple[float, Message]] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    readers: int = 0

    def expire(self) -> None:
        """Drop what nobody has read in time."""
        now = time.monotonic()
        while self.messages and self.messages[0][0] <= now:
            self.messages.popleft()


class ChannelQueues:
    """Every channel that has messages or readers; others take no memory."""

    def __init__(self, expiry: float) -> None:
        self._expiry = expiry
        self._boxes: dict[str, ChannelQueue] = {}
        self._sweeping = False

    def put(self, channel: str, message: Message, capacity: int) -> None:
        """Leave a message for the channel's reader; raises ChannelFull."""
        box = self._boxes.setdefault(channel, ChannelQueue())
        box.expire()
        if len(box.messages) >= capacity:
            raise ChannelFull(channel)
        box.messages.append((time.monotonic() + self._expiry, message))
        box.filled.set()
        if not self._sweeping:
            self._sweep()

    async def take(self, channel: str) -> Message:
        """Give the channel's next message. Who is cancelled here has taken none."""
        box = self._boxes.setdefault(channel, ChannelQueue())
        box.readers += 1
        try:
            while True:
                box.expire()
                if box.messages:
                    return box.messages.popleft()[1]
                box.filled.clear()
                await box.filled.wait()
        finally:
            box.readers -= 1
            self._forget_idle(channel, box)

    def clear(self) -> None:
        """Drop every message; the readers go on waiting."""
        for channel, box in list(self._boxes.items()):
            box.messages.clear()
            self._forget_idle(channel, box)

    def _sweep(self) -> None:
        # A channel that nobody reads any more, such as a closed WebSocket's, must not keep memory.
        for channel, box in list(self._boxes.items()):
            box.expire()
            self._forget_idle(channel, box)
        self._sweeping = any(box.messages for box in self._boxes.values())
        if self._sweeping:
            asyncio.get_running_loop().call_later(self._expiry, self._sweep)

    def _forget_idle(self, channel: str, box: ChannelQueue) -> None:
        if not box.messages and not box.readers and self._boxes.get(channel) is box:
            del self._boxes[channel]
