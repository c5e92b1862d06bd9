"""Live: the bell between processes, on Channels groups.

`publish` rings a group; `listen` hears it. The promise is Channels' own: at most once, in no
certain order. What must not be missed is in the log; the bell only says when to look, or saves the
look. Each event loop has one channel, and one task that reads it for as long as the loop lives.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import UUID

from channels.layers import BaseChannelLayer, get_channel_layer

logger = logging.getLogger(__name__)

Message: TypeAlias = dict[str, Any]
Listener: TypeAlias = Callable[[Message], None]

# Channels forgets who is in a group after a day unless told again.
REJOIN_SECONDS = 3600.0
RETRY_SECONDS = 1.0


def task_group(task_id: UUID) -> str:
    """Name the group that hears of one task's events."""
    return f"a2a.task.{task_id.hex}"


def worker_group(worker: str) -> str:
    """Name the group that one worker hears its orders on."""
    return f"a2a.worker.{worker}"


async def publish(group: str, message: Message) -> None:
    """Ring a group. A channel layer that fails costs time, never an event: it is logged."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(group, {**message, "type": "a2a.news", "group": group})
    # The layer's own errors have no common base: a lost connection, a full Redis, a bad host name.
    except Exception:
        logger.warning("The channel layer did not take a message for %s.", group, exc_info=True)


async def listen(group: str, listener: Listener) -> None:
    """Have every message of a group given to the listener, on this event loop, from now on."""
    await _hub().join(group, listener)


async def leave(group: str, listener: Listener) -> None:
    """Stop giving the group's messages to the listener."""
    await _hub().leave(group, listener)


class Hub:
    """One event loop's channel, and who on this loop hears which group."""

    def __init__(self, layer: BaseChannelLayer | None) -> None:
        self._layer = layer
        self._listeners: dict[str, set[Listener]] = {}
        self._joined: dict[str, float] = {}
        self._channel: asyncio.Task[str] | None = None
        self._reader: asyncio.Task[None] | None = None

    async def join(self, group: str, listener: Listener) -> None:
        """Hear a group; the first listener makes the channel join it."""
        self._listeners.setdefault(group, set()).add(listener)
        if time.monotonic() - self._joined.get(group, -REJOIN_SECONDS) >= REJOIN_SECONDS:
            await self._join(group)

    async def leave(self, group: str, listener: Listener) -> None:
        """Stop hearing a group; the last listener makes the channel leave it."""
        listeners = self._listeners.get(group, set())
        listeners.discard(listener)
        if listeners or group not in self._listeners:
            return
        del self._listeners[group]
        self._joined.pop(group, None)
        if self._layer is not None and self._channel is not None:
            try:
                await self._layer.group_discard(group, await self._own_channel())
            except Exception:  # a layer that is gone has forgotten the group anyway
                logger.info("The channel layer did not let go of %s.", group, exc_info=True)
        if group in self._listeners:
            # Somebody came while the channel was leaving.
            await self._join(group)

    async def _join(self, group: str) -> None:
        if self._layer is None:
            return
        try:
            await self._layer.group_add(group, await self._own_channel())
            self._joined[group] = time.monotonic()
        except Exception:  # as in publish: the poll of the log stands in for the bell
            logger.warning("The channel layer did not add %s.", group, exc_info=True)

    async def _own_channel(self) -> str:
        assert self._layer is not None
        if self._channel is None:
            self._channel = asyncio.ensure_future(self._layer.new_channel())
        asked = self._channel
        try:
            name = await asyncio.shield(asked)
        except Exception:
            if self._channel is asked:
                self._channel = None  # the layer may be there when the next one asks
            raise
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(self._layer, name))
        return name

    async def _read(self, layer: BaseChannelLayer, name: str) -> None:
        """Read the channel for ever: to cancel a receive() can lose a message for good."""
        while True:
            try:
                message = await layer.receive(name)
            except Exception:
                logger.warning("The channel layer failed; the log is polled.", exc_info=True)
                await asyncio.sleep(RETRY_SECONDS)
                await self._join_all()
            else:
                self._hear(message)

    async def _join_all(self) -> None:
        # A layer that was restarted has forgotten every group.
        for group in list(self._listeners):
            await self._join(group)

    def _hear(self, message: Message) -> None:
        for listener in list(self._listeners.get(message.get("group", ""), ())):
            try:
                listener(message)
            except Exception:  # one listener's fault must not deafen the others
                logger.exception("A listener of %s failed.", message.get("group"))


_hubs: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def _hub() -> Hub:
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub(get_channel_layer())
    return hub
