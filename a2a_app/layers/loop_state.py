"""Station: all that a channel layer keeps for one event loop."""

import logging
import time
from collections.abc import Callable, Iterator
from itertools import count
from uuid import uuid4

from channels.exceptions import ChannelFull

from a2a_app.layers.connection import Connect, NotifyConnection
from a2a_app.layers.payloads import Assembly, cut, unpack
from a2a_app.layers.queues import ChannelQueues

logger = logging.getLogger(__name__)


class LoopState:
    """An event loop's line, the groups that its channels are in, and their mailboxes.

    Args:
        connect: Opens a connection to PostgreSQL.
        inbox: Names the PostgreSQL channel of messages to the channels of one client.
        capacity: Gives a channel's capacity.
        expiry: After how many seconds an unread message is dropped.
        group_expiry: After how many seconds a member that does not join again leaves a group.
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
        self.line = NotifyConnection(connect, self._names, self._hear)
        self.mailboxes = ChannelQueues(expiry)
        self._inbox = inbox(self.client)
        self._capacity = capacity
        self._group_expiry = group_expiry
        # By the name of the group's PostgreSQL channel: who is in it, and since when.
        self._groups: dict[str, dict[str, float]] = {}
        self._assembly = Assembly()
        self._numbers = count()

    async def notify(self, name: str, data: bytes) -> None:
        """Send packed data to all who listen to a PostgreSQL channel."""
        await self.line.notify(name, cut(data, f"{self.client}{next(self._numbers):x}"))

    async def join(self, name: str, channel: str) -> None:
        """Add a channel to the group of that name, and return when it is heard."""
        members = self._groups.setdefault(name, {})
        new = channel not in members
        members[channel] = time.monotonic()
        try:
            await self.line.listen(name)
        except BaseException:  # also who is cancelled here is no member
            if new:
                self.leave(name, channel)
            raise

    def leave(self, name: str, channel: str) -> None:
        """Take a channel out of a group; the last one ends the listening."""
        members = self._groups.get(name, {})
        if members.pop(channel, None) is not None and not members:
            del self._groups[name]
            self.line.unlisten(name)

    def deliver(self, channel: str, data: bytes) -> None:
        """Put packed data into one channel's mailbox; raises ChannelFull."""
        # Unpacked for each: readers may change what they get.
        self.mailboxes.put(channel, unpack(data)[1], self._capacity(channel))

    async def flush(self) -> None:
        """Forget all messages and groups, and close the line."""
        self._groups.clear()
        self.mailboxes.clear()
        await self.line.close()

    def _names(self) -> Iterator[str]:
        yield self._inbox
        yield from self._groups

    def _hear(self, name: str, payload: str) -> None:
        try:
            data = self._assembly.add(payload)
            if data is not None:
                to_one = name == self._inbox
                for channel in [unpack(data)[0]] if to_one else self._members(name):
                    self._deliver_if_room(channel, data)
        # Anybody in the database can send a notification, and none may end the listening.
        except ValueError:
            logger.warning("A notification was no message of the channel layer.", exc_info=True)

    def _deliver_if_room(self, channel: str, data: bytes) -> None:
        try:
            self.deliver(channel, data)
        except ChannelFull:
            logger.debug("%s is full; a message is dropped.", channel)

    def _members(self, name: str) -> list[str]:
        oldest = time.monotonic() - self._group_expiry
        for channel, since in list(self._groups.get(name, {}).items()):
            if since < oldest:
                self.leave(name, channel)
        return list(self._groups.get(name, ()))
