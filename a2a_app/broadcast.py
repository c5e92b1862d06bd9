"""Broadcasts: messages between processes, on Channels groups.

`publish` sends a message to a group, and `listen` has a listener called with each message of one.
Listeners on the publishing event loop get it at once, without the channel layer. For others the
promise is that of Channels: at most once, in no certain order. Events that must not be missed are
in the log. A message only says when to read the log, or makes reading it unnecessary.

Each event loop has one channel, and one task that reads it for as long as the loop lives.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, TypeAlias, TypeVar
from uuid import UUID, uuid4

from asgiref.sync import async_to_sync
from channels.layers import BaseChannelLayer, get_channel_layer

from a2a_app.concurrency.event_loop import PerLoop, SharedTimeout
from a2a_app.concurrency.outages import Outage

logger = logging.getLogger(__name__)

T = TypeVar("T")
Message: TypeAlias = dict[str, Any]
Listener: TypeAlias = Callable[[Message], None]
LayerCall: TypeAlias = Callable[[BaseChannelLayer], Coroutine[Any, Any, None]]

# It has no members. A message to it shows whether the layer works.
PROBE_GROUP = "a2a.probe"
# A layer forgets a member of a group that has not joined again for a day.
REJOIN_SECONDS = 3600.0
# How long a layer may leave all callers without an answer before it counts as away. An answer
# normally takes milliseconds.
TIMEOUT_SECONDS = 5.0
# The pause before a layer that is away is tried again.
RETRY_SECONDS = 1.0


# How long code that is not asynchronous waits for the layer.
ANNOUNCE_SECONDS = 1.0

PUSH_GROUP = "a2a.push"
"""The group whose messages say that events may be due for webhooks."""
WAKE_GROUP = "a2a.wake"
"""The group whose messages say that a turn which is put away may be due to go on, or soon is."""
ACCESS_GROUP = "a2a.access"
"""The group whose messages say that callers may have lost their access."""


def task_group(task_id: UUID) -> str:
    """Return the name of the group to which a task's events are published."""
    return f"a2a.task.{task_id.hex}"


def worker_group(worker: str) -> str:
    """Return the name of the group to which messages for one worker are published."""
    return f"a2a.worker.{worker}"


async def publish(group: str, message: Message) -> None:
    """Send a message to a group. A channel layer that fails is logged, and no error is raised."""
    await _hubs.get().send(group, message)


def announce(group: str, message: Message) -> None:
    """Send a message to a group from any thread, as `publish` does.

    Every event loop of this process that broadcasts gets it, and one of them sends it on, so that
    nobody waits. A process without one, such as a command, waits for a second at most.
    """
    with suppress(RuntimeError):  # no event loop runs in this thread
        _hubs.get()
    hubs = _hubs.all()
    for hub in hubs[1:]:
        hub.loop.call_soon_threadsafe(hub.call_listeners, {**message, "group": group})
    if hubs:
        hubs[0].loop.call_soon_threadsafe(hubs[0].send_soon, group, message)
    else:
        async_to_sync(_publish_alone)(group, message)


async def _publish_alone(group: str, message: Message) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(ANNOUNCE_SECONDS):
            await publish(group, message)


async def listen(group: str, listener: Listener) -> None:
    """Call the listener with every message of a group, on this event loop, from now on."""
    await _hubs.get().join(group, listener)


def listen_here(group: str, listener: Listener) -> None:
    """Call the listener with the group's messages that are published on this event loop.

    The channel layer is not asked for it. Messages from elsewhere come too, if another listener on
    this event loop has joined the group.
    """
    _hubs.get().add(group, listener)


async def leave(group: str, listener: Listener) -> None:
    """Stop calling the listener with the group's messages."""
    await _hubs.get().leave(group, listener)


def seconds_away() -> float:
    """Return for how long the channel layer has not answered some event loop; 0 if it does."""
    return max((hub.seconds_away for hub in _hubs.all()), default=0.0)


class Hub:
    """One event loop's channel, and the listeners to each group on this loop.

    No caller waits for a layer that is away. One task tries it now and then, and then joins and
    leaves the groups that are due. Messages that were not sent are not sent later, since their
    events are in the log.
    """

    def __init__(self, layer: BaseChannelLayer | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._layer = layer
        self._name = uuid4().hex
        self._outage = Outage(logger, "The channel layer")
        self._outages = 0
        self._timeout = SharedTimeout()
        self._listeners: dict[str, set[Listener]] = {}
        self._wanted: set[str] = set()
        self._joined: dict[str, float] = {}
        self._to_leave: set[str] = set()
        self._opening: asyncio.Task[str] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._rejoining: asyncio.Task[None] | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def seconds_away(self) -> float:
        """For how long the layer has not answered; 0 while it does."""
        return self._outage.seconds

    async def send(self, group: str, message: Message) -> None:
        """Call the listeners here, and send the message to all others unless the layer is away."""
        sent = {**message, "type": "a2a.message", "group": group, "from": self._name}
        self.call_listeners(sent)
        await self._try(lambda layer: layer.group_send(group, sent))

    def send_soon(self, group: str, message: Message) -> None:
        """Send a message as `send` does, and do not wait for it."""
        task = _start_in_background(self.send(group, message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def add(self, group: str, listener: Listener) -> None:
        """Add a listener to a group, for messages that are published here."""
        self._listeners.setdefault(group, set()).add(listener)

    async def join(self, group: str, listener: Listener) -> None:
        """Add a listener to a group; the first one makes the channel join the group."""
        self.add(group, listener)
        self._wanted.add(group)
        self._to_leave.discard(group)
        if group not in self._joined:
            await self._try(lambda layer: self._join(layer, group))

    async def leave(self, group: str, listener: Listener) -> None:
        """Remove a listener from a group; the last one makes the channel leave the group."""
        listeners = self._listeners.get(group, set())
        listeners.discard(listener)
        if listeners or group not in self._listeners:
            return
        del self._listeners[group]
        if group not in self._wanted:
            return
        self._wanted.remove(group)
        if self._opening is None:
            return  # No channel has joined any group yet.
        self._to_leave.add(group)
        await self._try(lambda layer: self._leave(layer, group))

    async def _try(self, call: LayerCall) -> None:
        if self._layer is None or self._reconnecting is not None:
            return
        try:
            await self._timeout.wait(self._call_with_retry(call, self._layer), TIMEOUT_SECONDS)
        except Exception as error:
            self._reconnect_after(self._layer, error)

    @staticmethod
    async def _call_with_retry(call: LayerCall, layer: BaseChannelLayer) -> None:
        try:
            await call(layer)
        # The errors of layers have no common base: a lost connection, a full Redis…
        except Exception:
            # The connection may have been closed while it was idle. The second call gets a new one.
            await call(layer)

    async def _join(self, layer: BaseChannelLayer, group: str) -> None:
        await layer.group_add(group, await self._channel(layer))
        self._joined[group] = time.monotonic()
        if group not in self._wanted:
            # The last listener left while the channel was joining.
            await self._leave(layer, group)

    async def _leave(self, layer: BaseChannelLayer, group: str) -> None:
        self._joined.pop(group, None)
        await layer.group_discard(group, await self._channel(layer))
        self._to_leave.discard(group)
        if group in self._wanted:
            # A listener came while the channel was leaving.
            await self._join(layer, group)

    async def _channel(self, layer: BaseChannelLayer) -> str:
        opening = self._opening = self._opening or _start_in_background(self._open(layer))
        try:
            name = await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise
        if self._reader is None:
            self._reader = _start_in_background(self._read(layer, name))
            self._rejoining = _start_in_background(self._rejoin_for_ever())
        return name

    async def _rejoin_for_ever(self) -> None:
        """Join each group again before the layer forgets that the channel is in it."""
        while True:
            await asyncio.sleep(REJOIN_SECONDS)
            long_ago = time.monotonic() - REJOIN_SECONDS
            for group, joined_at in list(self._joined.items()):
                if joined_at <= long_ago and group in self._wanted:
                    await self._try(partial(self._join, group=group))

    @staticmethod
    async def _open(layer: BaseChannelLayer) -> str:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await layer.new_channel()

    async def _read(self, layer: BaseChannelLayer, channel: str) -> None:
        """Read the channel for ever; never cancelled, since that can lose a message."""
        while True:
            known = self._outages
            try:
                message = await layer.receive(channel)
            except Exception as error:
                # It may be of a connection from before an outage, which is over.
                if not _found_nothing(error) and known == self._outages:
                    await asyncio.wait([self._reconnect_after(layer, error)])
            else:
                # Listeners on this event loop have got their own messages already.
                if message.get("from") != self._name:
                    self.call_listeners(message)

    def _reconnect_after(self, layer: BaseChannelLayer, error: Exception) -> "asyncio.Task[None]":
        self._outage.begin(error)
        if self._reconnecting is None:
            # A layer that was restarted has forgotten all members of all groups.
            self._joined.clear()
            self._reconnecting = _start_in_background(self._reconnect(layer))
        return self._reconnecting

    async def _reconnect(self, layer: BaseChannelLayer) -> None:
        """Try the layer until it answers and the channel is in its groups again."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    # Joining is no probe: some layers keep their groups in the process's memory.
                    await layer.group_send(PROBE_GROUP, {"type": "a2a.message"})
                await self._restore_groups(layer)
            except Exception as error:
                self._outage.begin(error)
            else:
                break
        self._reconnecting = None
        self._outages += 1
        self._outage.end()

    async def _restore_groups(self, layer: BaseChannelLayer) -> None:
        """Leave and join all groups that are due; more may become due meanwhile."""
        while due := self._to_leave or self._wanted - self._joined.keys():
            change = self._leave if self._to_leave else self._join
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await change(layer, next(iter(due)))

    def call_listeners(self, message: Message) -> None:
        """Call the listeners here to the group that a message names."""
        for listener in list(self._listeners.get(message.get("group", ""), ())):
            try:
                listener(message)
            except Exception:  # the other listeners must get the message all the same
                logger.exception("A listener of %s failed.", message.get("group"))


def _start_in_background(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Start work that outlives the present request, in a context and thread other than its own."""
    return asyncio.get_running_loop().create_task(work, context=Context())


def _found_nothing(error: Exception) -> bool:
    """Tell whether a receive() failed only because there was no message.

    channels_redis.core waits for a message as long as redis-py, since its version 8, waits for an
    answer. The error is redis-py's own. We know it by its name, since we do not depend on redis-py.
    """
    return type(error).__name__ == "TimeoutError"


_hubs = PerLoop(lambda: Hub(get_channel_layer()))
