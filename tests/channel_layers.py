"""Channel layers that keep only the least of what Channels promises."""

import asyncio
import random
from typing import Any

from channels.layers import InMemoryChannelLayer


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


class Late(InMemoryChannelLayer):
    """Fails at first, as a layer does whose server starts after us."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._failures = 2

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Fail at first."""
        if self._failures:
            self._failures -= 1
            raise ConnectionError("The layer's server has not started.")
        return await super().new_channel(prefix)
