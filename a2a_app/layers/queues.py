"""The unread messages in the channels of one event loop."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from channels.exceptions import ChannelFull

from a2a_app.layers.payloads import Message


@dataclass(slots=True)
class ChannelQueue:
    """The unread messages of one channel, and how many readers wait for them."""

    messages: deque[tuple[float, Message]] = field(default_factory=deque)
    """Each with the time at which it expires, on the monotonic clock."""
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    readers: int = 0

    def expire(self) -> None:
        """Drop the messages that nobody has read in time."""
        now = time.monotonic()
        while self.messages and self.messages[0][0] <= now:
            self.messages.popleft()


class ChannelQueues:
    """The queues of all channels that have messages or readers; other channels take no memory."""

    def __init__(self, expiry: float) -> None:
        """Make empty queues, in which a message expires after `expiry` seconds."""
        self._expiry = expiry
        self._queues: dict[str, ChannelQueue] = {}
        self._sweeping = False

    def put(self, channel: str, message: Message, capacity: int) -> None:
        """Append a message to a channel's queue.

        Raises:
            ChannelFull: The queue has `capacity` messages already.
        """
        queue = self._queues.setdefault(channel, ChannelQueue())
        queue.expire()
        if len(queue.messages) >= capacity:
            raise ChannelFull(channel)
        queue.messages.append((time.monotonic() + self._expiry, message))
        queue.filled.set()
        if not self._sweeping:
            self._sweep()

    async def take(self, channel: str) -> Message:
        """Wait for a channel's next message, remove it from the queue and return it.

        A caller that is cancelled has taken no message.
        """
        queue = self._queues.setdefault(channel, ChannelQueue())
        queue.readers += 1
        try:
            while True:
                queue.expire()
                if queue.messages:
                    return queue.messages.popleft()[1]
                queue.filled.clear()
                await queue.filled.wait()
        finally:
            queue.readers -= 1
            self._forget_idle(channel, queue)

    def clear(self) -> None:
        """Drop every message; readers go on waiting."""
        for channel, queue in list(self._queues.items()):
            queue.messages.clear()
            self._forget_idle(channel, queue)

    def _sweep(self) -> None:
        # A channel that nobody reads any more, such as that of a closed WebSocket, would fill
        # memory for ever.
        for channel, queue in list(self._queues.items()):
            queue.expire()
            self._forget_idle(channel, queue)
        self._sweeping = any(queue.messages for queue in self._queues.values())
        if self._sweeping:
            asyncio.get_running_loop().call_later(self._expiry, self._sweep)

    def _forget_idle(self, channel: str, queue: ChannelQueue) -> None:
        if not queue.messages and not queue.readers and self._queues.get(channel) is queue:
            del self._queues[channel]
