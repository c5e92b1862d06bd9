"""Live: the bell between processes, on Channels groups.

`publish` rings a group; `listen` hears it. Who listens on the event loop that rings hears it at
once, and without the layer; between others the promise is Channels' own: at most once, in no
certain order. What must not be missed is in the log; the bell only says when to look, or saves the
look. Each event loop has one channel, and one task that reads it for as long as the loop lives.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeAlias, TypeVar
from uuid import UUID, uuid4

from channels.layers import BaseChannelLayer, get_channel_layer

from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.concurrency.outages import Outage, SharedTimeout

logger = logging.getLogger(__name__)

T = TypeVar("T")
Message: TypeAlias = dict[str, Any]
Listener: TypeAlias = Callable[[Message], None]
Act: TypeAlias = Callable[[BaseChannelLayer], Coroutine[Any, Any, None]]

# Nobody is in it: a message to it says whether the layer works.
PROBE_GROUP = "a2a.probe"
# Channels forgets who is in a group after a day unless told again.
REJOIN_SECONDS = 3600.0
# How long a layer may answer nobody where it is a matter of milliseconds; then it counts as away.
PATIENCE_SECONDS = 5.0
# How often a layer that is away is tried.
RETRY_SECONDS = 1.0


PUSH_GROUP = "a2a.push"
"""The group that hears when webhooks may have something to get."""


def task_group(task_id: UUID) -> str:
    """Name the group that hears of one task's events."""
    return f"a2a.task.{task_id.hex}"


def worker_group(worker: str) -> str:
    """Name the group that one worker hears its orders on."""
    return f"a2a.worker.{worker}"


async def publish(group: str, message: Message) -> None:
    """Ring a group. A channel layer that fails costs time, never an event: it is logged."""
    await _hubs.get().send(group, message)


async def listen(group: str, listener: Listener) -> None:
    """Have every message of a group given to the listener, on this event loop, from now on."""
    await _hubs.get().join(group, listener)


def listen_here(group: str, listener: Listener) -> None:
    """Have what rings the group on this event loop given to the listener; the layer is not asked.

    What rings elsewhere is heard too, where another listener has joined the group.
    """
    _hubs.get().add(group, listener)


async def leave(group: str, listener: Listener) -> None:
    """Stop giving the group's messages to the listener."""
    await _hubs.get().leave(group, listener)


class Hub:
    """One event loop's channel, and who on this loop hears which group.

    Of a layer that is away nobody is made to wait: one task tries it now and then, and makes up for
    what was not done meanwhile. What was not sent is not sent later: the log has it.
    """

    def __init__(self, layer: BaseChannelLayer | None) -> None:
        self._layer = layer
        self._name = uuid4().hex
        self._outage = Outage(logger, "The channel layer")
        self._patience = SharedTimeout()
        self._listeners: dict[str, set[Listener]] = {}
        self._wanted: set[str] = set()
        self._joined: dict[str, float] = {}
        self._unwanted: set[str] = set()
        self._opening: asyncio.Task[str] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None

    async def send(self, group: str, message: Message) -> None:
        """Give a message to who listens here, and unless the layer is away to all others."""
        sent = {**message, "type": "a2a.news", "group": group, "from": self._name}
        self._hear(sent)
        await self._try(lambda layer: layer.group_send(group, sent))

    def add(self, group: str, listener: Listener) -> None:
        """Hear what is sent to a group here."""
        self._listeners.setdefault(group, set()).add(listener)

    async def join(self, group: str, listener: Listener) -> None:
        """Hear a group, wherever it is sent; the first listener makes the channel join it."""
        self.add(group, listener)
        self._wanted.add(group)
        self._unwanted.discard(group)
        if time.monotonic() - self._joined.get(group, -REJOIN_SECONDS) >= REJOIN_SECONDS:
            await self._try(lambda layer: self._join(layer, group))

    async def leave(self, group: str, listener: Listener) -> None:
        """Stop hearing a group; the last listener makes the channel leave it."""
        listeners = self._listeners.get(group, set())
        listeners.discard(listener)
        if listeners or group not in self._listeners:
            return
        del self._listeners[group]
        if group not in self._wanted:
            return
        self._wanted.remove(group)
        if self._opening is None:
            return  # No channel has joined anything yet.
        self._unwanted.add(group)
        await self._try(lambda layer: self._leave(layer, group))

    async def _try(self, act: Act) -> None:
        if self._layer is None or self._mending is not None:
            return
        try:
            await self._patience.wait(self._do(act, self._layer), PATIENCE_SECONDS)
        except Exception as error:
            self._mend_after(self._layer, error)

    @staticmethod
    async def _do(act: Act, layer: BaseChannelLayer) -> None:
        try:
            await act(layer)
        # The layer's own errors have no common base: a lost connection, a full Redis…
        except Exception:
            # A connection that was closed while nobody used it: the next one is new.
            await act(layer)

    async def _join(self, layer: BaseChannelLayer, group: str) -> None:
        await layer.group_add(group, await self._channel(layer))
        self._joined[group] = time.monotonic()
        if group not in self._wanted:
            # All have left while the channel was joining.
            await self._leave(layer, group)

    async def _leave(self, layer: BaseChannelLayer, group: str) -> None:
        self._joined.pop(group, None)
        await layer.group_discard(group, await self._channel(layer))
        self._unwanted.discard(group)
        if group in self._wanted:
            # Somebody came while the channel was leaving.
            await self._join(layer, group)

    async def _channel(self, layer: BaseChannelLayer) -> str:
        opening = self._opening = self._opening or _background(self._open(layer))
        try:
            name = await asyncio.shield(opening)
        except Exception:
            if self._opening is opening:
                self._opening = None
            raise
        if self._reader is None:
            self._reader = _background(self._read(layer, name))
        return name

    @staticmethod
    async def _open(layer: BaseChannelLayer) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await layer.new_channel()

    async def _read(self, layer: BaseChannelLayer, channel: str) -> None:
        """Read the channel for ever: to cancel a receive() can lose a message for good."""
        while True:
            try:
                message = await layer.receive(channel)
            except Exception as error:
                if not _is_silence(error):
                    await asyncio.wait([self._mend_after(layer, error)])
            else:
                # Who is here has heard it already.
                if message.get("from") != self._name:
                    self._hear(message)

    def _mend_after(self, layer: BaseChannelLayer, error: Exception) -> "asyncio.Task[None]":
        self._outage.begin(error)
        if self._mending is None:
            # A layer that was restarted has forgotten every group.
            self._joined.clear()
            self._mending = _background(self._mend(layer))
        return self._mending

    async def _mend(self, layer: BaseChannelLayer) -> None:
        """Try the layer until it answers and knows again who is in which group."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    # A layer that keeps its own list of groups takes members without asking anyone.
                    await layer.group_send(PROBE_GROUP, {"type": "a2a.news"})
                await self._make_up(layer)
            except Exception as error:
                self._outage.begin(error)
            else:
                break
        self._mending = None
        self._outage.end()

    async def _make_up(self, layer: BaseChannelLayer) -> None:
        """Leave and join what is due; more may become due meanwhile."""
        while due := self._unwanted or self._wanted - self._joined.keys():
            act = self._leave if self._unwanted else self._join
            async with asyncio.timeout(PATIENCE_SECONDS):
                await act(layer, next(iter(due)))

    def _hear(self, message: Message) -> None:
        for listener in list(self._listeners.get(message.get("group", ""), ())):
            try:
                listener(message)
            except Exception:  # one listener's fault must not deafen the others
                logger.exception("A listener of %s failed.", message.get("group"))


def _background(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Begin what outlives the request that is served now: in a context, and a thread, not its."""
    return asyncio.get_running_loop().create_task(work, context=Context())


def _is_silence(error: Exception) -> bool:
    """Tell whether a receive() only found nothing to receive.

    channels_redis.core waits as long for a message as redis-py, from 8 on, waits for an answer.
    redis-py's error is not Python's own, and we do not depend on redis-py: so the name must do.
    """
    return type(error).__name__ == "TimeoutError"


_hubs = PerLoop(lambda: Hub(get_channel_layer()))
