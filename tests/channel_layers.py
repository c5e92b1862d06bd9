"""Channel layers that are worse than any in use, each in one way."""

import asyncio
import random
from typing import Any, Literal

from channels.layers import InMemoryChannelLayer

from a2a_app import broadcast


class Silent(InMemoryChannelLayer):
    """Takes every message and delivers none."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Drop the message."""


class Unreliable(InMemoryChannelLayer):
    """Loses some messages, doubles some, and delivers some after those that came later."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._chance = random.Random(7)
        self._held: list[tuple[str, dict[str, Any]]] = []

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Do with the message what chance says."""
        match self._chance.randrange(4):
            case 0:
                return
            case 1:
                self._held.append((group, message))
                return
            case 2:
                await super().group_send(group, message)
        await super().group_send(group, message)
        held, self._held = self._held, []
        for late in held:
            await super().group_send(*late)


class Broken(InMemoryChannelLayer):
    """Fails at everything, as a layer does whose server is gone."""

    async def group_add(self, group: str, channel: str) -> None:
        """Fail."""
        raise ConnectionError("The layer's server is gone.")

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Fail."""
        raise ConnectionError("The layer's server is gone.")

    async def receive(self, channel: str) -> Any:
        """Fail, as soon as the event loop is free."""
        await asyncio.sleep(0)
        raise ConnectionError("The layer's server is gone.")


class Slow(InMemoryChannelLayer):
    """Joins one group after the other, each in a tenth of what a layer may take for it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lock = asyncio.Lock()

    async def group_add(self, group: str, channel: str) -> None:
        """Add to a group, in time and not before those who have asked earlier."""
        async with self._lock:
            await asyncio.sleep(broadcast.TIMEOUT_SECONDS / 10)
            await super().group_add(group, channel)


class Wavering(InMemoryChannelLayer):
    """Works until it is told to fail or to hang, and then forgets the members of its groups."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._trouble: Literal["", "fails", "hangs"] = ""
        self._stale = 0

    def close_connections(self, number: int) -> None:
        """Fail the next so many times, as connections do that were closed while unused."""
        self._stale = number

    def go_away(self, how: Literal["fails", "hangs"]) -> None:
        """Fail, or hang, at everything from now on."""
        self._trouble = how
        self.groups.clear()

    def come_back(self) -> None:
        """Work again."""
        self._trouble = ""

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Make a channel, if it works."""
        await self._work()
        return await super().new_channel(prefix)

    async def group_add(self, group: str, channel: str) -> None:
        """Add to a group, if it works."""
        await self._work()
        await super().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take from a group, if it works."""
        await self._work()
        await super().group_discard(group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send, if it works."""
        await self._work()
        await super().group_send(group, message)

    async def _work(self) -> None:
        if self._stale:
            self._stale -= 1
            raise ConnectionError("Connection closed by server.")
        if self._trouble == "fails":
            raise ConnectionError("The layer's server is gone.")
        if self._trouble == "hangs":
            await asyncio.Event().wait()
