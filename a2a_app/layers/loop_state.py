"""The state that a channel layer holds for one event loop."""

import logging
import time
from collections.abc import Callable, Iterator
from itertools import count
from uuid import uuid4

from channels.exceptions import ChannelFull

from a2a_app.layers.connection import NotifyConnection
from a2a_app.layers.payloads import Assembly, cut, unpack
from a2a_app.layers.queues import ChannelQueues
from a2a_app.layers.session import Connect

logger = logging.getLogger(__name__)


class LoopState:
    """An event loop's connection, the queues of its channels, and the groups that they are in.

    Args:
        connect: Opens a connection to PostgreSQL.
        inbox: Returns, for the name of an event loop, the name of the PostgreSQL channel that gets
            all messages to channels of that event loop.
        capacity: Returns the capacity of a channel, in messages.
        expiry: Seconds after which an unread message is dropped.
        group_expiry: Seconds after which a member that has not joined again leaves a group.
    """

    def __init__(
        self,
        connect: Connect,
        inbox: Callable[[str], str],
        capacity: Callable[[str], int],
        *,
        expiry: float,
        group_expiry: float,
    ) -> None:
        self.client = uuid4().hex[:12]
        """The name of this event loop, which is part of the names of its channels."""
        self.connection = NotifyConnection(connect, self._names, self._receive)
        self.queues = ChannelQueues(expiry)
        self._inbox = inbox(self.client)
        self._capacity = capacity
        self._group_expiry = group_expiry
        # By the name of a group's PostgreSQL channel: when each of its members last joined.
        self._groups: dict[str, dict[str, float]] = {}
        self._assembly = Assembly()
        self._numbers = count()

    async def notify(self, name: str, data: bytes) -> None:
        """Send packed data to everyone who listens to a PostgreSQL channel."""
        await self.connection.notify(name, cut(data, f"{self.client}{next(self._numbers):x}"))

    async def join(self, name: str, channel: str) -> None:
        """Add a channel to a group; return when it misses no later message.

        Args:
            name: The PostgreSQL channel of the group.
            channel: A channel of this event loop. It is no member if this raises.
        """
        members = self._groups.setdefault(name, {})
        is_new = channel not in members
        members[channel] = time.monotonic()
        try:
            await self.connection.listen(name)
        except BaseException:  # a caller that is cancelled has not joined either
            if is_new:
                self.leave(name, channel)
            raise

    def leave(self, name: str, channel: str) -> None:
        """Remove a channel from a group; after the last one stop listening."""
        members = self._groups.get(name, {})
        if members.pop(channel, None) is not None and not members:
            del self._groups[name]
            self.connection.unlisten(name)

    def deliver(self, channel: str, data: bytes) -> None:
        """Put packed data into one channel's queue; raise ChannelFull if it is full."""
        # Unpacked for each channel: readers may change the message that they get.
        self.queues.put(channel, unpack(data)[1], self._capacity(channel))

    async def flush(self) -> None:
        """Forget all messages and groups, and close the connection."""
        self._groups.clear()
        self.queues.clear()
        await self.connection.close()

    def _names(self) -> Iterator[str]:
        yield self._inbox
        yield from self._groups

    def _receive(self, name: str, payload: str) -> None:
        try:
            data = self._assembly.add(payload)
            if data is not None:
                is_inbox = name == self._inbox
                for channel in [unpack(data)[0]] if is_inbox else self._members(name):
                    self._deliver_if_room(channel, data)
        # Every user of the database can send a notification, and none may stop the listening.
        except ValueError:
            logger.warning("A notification was no message of the channel layer.", exc_info=True)

    def _deliver_if_room(self, channel: str, data: bytes) -> None:
        try:
            self.deliver(channel, data)
        except ChannelFull:
            logger.debug("%s is full; a message is dropped.", channel)

    def _members(self, name: str) -> list[str]:
        oldest = time.monotonic() - self._group_expiry
        for channel, joined_at in list(self._groups.get(name, {}).items()):
            if joined_at < oldest:
                self.leave(name, channel)
        return list(self._groups.get(name, ()))
