"""A channel layer on PostgreSQL's LISTEN and NOTIFY: nothing to install beside the database."""

import asyncio
from contextlib import suppress
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import psycopg
from channels.layers import BaseChannelLayer
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from a2a_app.layers.connection import FAILURES
from a2a_app.layers.loop_state import LoopState
from a2a_app.layers.payloads import Message, pack

# What no other side tells us of, such as a firewall that forgot the connection, is noticed so.
KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


class PostgreSQLChannelLayer(BaseChannelLayer):
    """Groups and process-specific channels, over one connection for each event loop.

    At most once, as all channel layers: what is sent while a connection is lost is not heard over
    it. Sending, and joining a group, raises while the database is away; receiving goes on waiting.

    A channel without "!" in its name is refused with NotImplementedError. Whoever reads it, one
    reader must get each message, and a notification goes to all who listen.

    Args:
        database: Which of DATABASES to connect to. LISTEN does not pass a pooler such as
            pgbouncer in transaction mode: name a direct connection here.
        prefix: Sets apart layers that share a database.
        expiry: After how many seconds an unread message is dropped.
        group_expiry: After how many seconds without another `group_add` a channel leaves a group.
        capacity: How many unread messages a channel holds; more are dropped. `send` raises
            ChannelFull where it can know: for a channel of its own event loop.
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
        # Channels says dict and reads pairs.
        self.channel_capacity = self.compile_capacities(channel_capacity or {})  # type: ignore[assignment]
        self.group_expiry = group_expiry
        self.database = database
        self.prefix = prefix
        self._stations: dict[asyncio.AbstractEventLoop, LoopState] = {}
        if database not in connections or connections[database].vendor != "postgresql":
            raise ImproperlyConfigured(
                f"CONFIG['database'] of PostgreSQLChannelLayer is {database!r}, which is no "
                "PostgreSQL of DATABASES."
            )

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Name a new channel of this event loop; it hears from now on, if the database is there."""
        station = self._station()
        with suppress(*FAILURES):
            await station.line.ready()
        return f"{prefix.rstrip('.')}.{station.client}!{uuid4().hex}"

    async def send(self, channel: str, message: Message) -> None:
        """Send to a process-specific channel.

        Raises ChannelFull, MessageTooLarge, and psycopg.Error or OSError.
        """
        self.require_valid_channel_name(channel)
        client = self._client(channel)
        data = pack(channel, message)
        station = self._station()
        if client == station.client:
            station.deliver(channel, data)
        else:
            await station.notify(self._name("client", client), data)

    async def receive(self, channel: str) -> Message:
        """Give the next message of a channel of this event loop, however long that takes."""
        self.require_valid_channel_name(channel)
        return await self._home(channel).mailboxes.take(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Return when the channel hears what is sent to the group from now on.

        The channel is one of this event loop. It is no member after psycopg.Error or OSError.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        await self._home(channel).join(self._name("group", group), channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take the channel out of the group, if it is in it."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        self._station().leave(self._name("group", group), channel)

    async def group_send(self, group: str, message: Message) -> None:
        """Send to every channel in the group.

        Raises MessageTooLarge, and psycopg.Error or OSError.
        """
        self.require_valid_group_name(group)
        await self._station().notify(self._name("group", group), pack("", message))

    async def flush(self) -> None:
        """Forget this event loop's messages and groups, and close its connection."""
        await self._station().flush()

    def _station(self) -> LoopState:
        loop = asyncio.get_running_loop()
        station = self._stations.get(loop)
        if station is None:
            # What belongs to an event loop is of no use after it, and it says no goodbye.
            for ended in [each for each in list(self._stations) if each.is_closed()]:
                self._stations.pop(ended, None)
            station = self._stations[loop] = LoopState(
                self._connect,
                lambda client: self._name("client", client),
                self.get_capacity,
                expiry=self.expiry,
                group_expiry=self.group_expiry,
            )
        return station

    def _home(self, channel: str) -> LoopState:
        station = self._station()
        if self._client(channel) != station.client:
            raise NotImplementedError(
                f"{channel} is no channel of this event loop: only what new_channel() gave here "
                "can be received on here, and join groups."
            )
        return station

    @staticmethod
    def _client(channel: str) -> str:
        process, mark, _ = channel.partition("!")
        if not mark:
            raise NotImplementedError(
                f"{channel} is no process-specific channel; PostgreSQLChannelLayer has no others."
            )
        return process.rpartition(".")[2]

    def _name(self, kind: str, name: str) -> str:
        """Name a PostgreSQL channel, which may have 63 bytes."""
        digest = blake2b(f"{self.prefix} {kind} {name}".encode(), digest_size=20)
        return f"channels_{digest.hexdigest()}"

    async def _connect(self) -> "psycopg.AsyncConnection[Any]":
        """Open a connection of our own, with the parameters of Django's."""
        params = connections[self.database].get_connection_params()
        # They are for Django's cursors, which are synchronous.
        for name in ("cursor_factory", "context"):
            params.pop(name, None)
        # Statements here are several in one, which cannot be prepared.
        params["prepare_threshold"] = None
        return await psycopg.AsyncConnection.connect(**{**KEEPALIVES, **params}, autocommit=True)
