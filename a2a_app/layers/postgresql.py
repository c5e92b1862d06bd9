"""A channel layer on PostgreSQL's LISTEN and NOTIFY, which needs no server but the database."""

import asyncio
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import Any
from uuid import uuid4

from channels.layers import BaseChannelLayer
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from a2a_app.layers.connection import FAILURES
from a2a_app.layers.loop_state import LoopState
from a2a_app.layers.payloads import Message, pack
from a2a_app.layers.session import check_session, connect


class PostgreSQLChannelLayer(BaseChannelLayer):
    """Groups and process-specific channels, over one connection for each event loop.

    A message is delivered at most once, as by every channel layer. Messages that are sent while a
    connection is lost do not reach it. While the database is away, sending and joining a group
    raise, and receiving waits. So it is where the connection leads to a pooler in transaction mode,
    and the log says so.

    A channel without "!" in its name is refused with NotImplementedError. Only one of its readers,
    in whichever process, may get each message, but a notification reaches everyone who listens.

    Args:
        database: The alias in DATABASES to connect to. A pooler in transaction mode is refused,
            since LISTEN hears nothing through it, so name a direct connection here.
        prefix: Separates layers that share a database.
        expiry: Seconds after which an unread message is dropped.
        group_expiry: Seconds without another `group_add` after which a channel leaves a group.
        capacity: How many unread messages a channel holds; further ones are dropped. `send` raises
            ChannelFull where it can know this, which is for channels of its own event loop.
        channel_capacity: Other capacities, by pattern of the channel's name.
    """

    extensions = ("groups", "flush")

    def __init__(
        self,
        database: str = "default",
        *,
        prefix: str = "asgi",
        expiry: int = 60,
        group_expiry: int = 86_400,
        capacity: int = 1_000,
        channel_capacity: dict[Any, int] | None = None,
    ) -> None:
        super().__init__(expiry=expiry, capacity=capacity)
        # Channels annotates a dict, and reads pairs.
        self.channel_capacity = self.compile_capacities(channel_capacity or {})  # type: ignore[assignment]
        self.group_expiry = group_expiry
        self.database = database
        self.prefix = prefix
        self._states: dict[asyncio.AbstractEventLoop, LoopState] = {}
        if database not in connections or connections[database].vendor != "postgresql":
            raise ImproperlyConfigured(
                f"CONFIG['database'] of PostgreSQLChannelLayer is {database!r}, which is no "
                "PostgreSQL of DATABASES."
            )

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return the name of a new channel of this event loop.

        The channel gets messages from now on, or once the database answers.
        """
        state = self._state()
        with suppress(*FAILURES):
            await state.connection.ready()
        return f"{prefix.rstrip('.')}.{state.client}!{uuid4().hex}"

    async def send(self, channel: str, message: Message) -> None:
        """Send a message to a process-specific channel.

        Raises:
            ChannelFull: It is a channel of this event loop, and is full.
            MessageTooLarge: The message has more than 4 MiB.
            psycopg.Error, OSError: The database is away.
        """
        self.require_valid_channel_name(channel)
        client = self._client(channel)
        data = pack(channel, message)
        state = self._state()
        if client == state.client:
            state.deliver(channel, data)
        else:
            await state.notify(self._name("client", client), data)

    async def receive(self, channel: str) -> Message:
        """Wait for the next message of a channel of this event loop and return it."""
        self.require_valid_channel_name(channel)
        return await self._state_of(channel).queues.take(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel of this event loop to a group; return when it misses no later message.

        Raises:
            psycopg.Error, OSError: The database is away, and the channel is not in the group.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        await self._state_of(channel).join(self._name("group", group), channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group, if it is in it."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        self._state().leave(self._name("group", group), channel)

    async def group_send(self, group: str, message: Message) -> None:
        """Send a message to every channel in a group.

        Raises:
            MessageTooLarge: The message has more than 4 MiB.
            psycopg.Error, OSError: The database is away.
        """
        self.require_valid_group_name(group)
        await self._state().notify(self._name("group", group), pack("", message))

    async def flush(self) -> None:
        """Forget this event loop's messages and groups, and close its connection."""
        await self._state().flush()

    async def check(self) -> None:
        """Connect as the layer does, and return if that connection hears what it listens to.

        Raises:
            SharedSessionError: It leads to a pooler that shares sessions between transactions.
            psycopg.Error, OSError: The database is away.
        """
        await check_session(self.database)

    def _state(self) -> LoopState:
        """Return the state of the running event loop."""
        loop = asyncio.get_running_loop()
        state = self._states.get(loop)
        if state is None:
            # The state of an event loop is of no use after it, and nothing tells of its end.
            for closed in [each for each in list(self._states) if each.is_closed()]:
                self._states.pop(closed, None)
            state = self._states[loop] = LoopState(
                partial(connect, self.database),
                lambda client: self._name("client", client),
                self.get_capacity,
                expiry=self.expiry,
                group_expiry=self.group_expiry,
            )
        return state

    def _state_of(self, channel: str) -> LoopState:
        """Return the state of the running event loop, which must be the channel's own."""
        state = self._state()
        if self._client(channel) != state.client:
            raise NotImplementedError(
                f"{channel} is no channel of this event loop. Only a channel that new_channel() "
                "returned here can be received on here, and can join groups."
            )
        return state

    @staticmethod
    def _client(channel: str) -> str:
        """Return the name of the event loop that a channel belongs to."""
        process, mark, _ = channel.partition("!")
        if not mark:
            raise NotImplementedError(
                f"{channel} is no process-specific channel; PostgreSQLChannelLayer has no others."
            )
        return process.rpartition(".")[2]

    def _name(self, kind: str, name: str) -> str:
        """Return the name of a PostgreSQL channel; it may have at most 63 bytes."""
        digest = blake2b(f"{self.prefix} {kind} {name}".encode(), digest_size=20)
        return f"channels_{digest.hexdigest()}"
