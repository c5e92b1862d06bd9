"""Connections: those that the queries of asynchronous agents leave, closed when they are old."""

import asyncio

from asgiref.sync import sync_to_async
from django.db import close_old_connections

PAUSE_SECONDS = 1.0


class Tidier:
    """Does for an event loop's runs what a request's end does for a view.

    Once for all runs that end within a second: to ask the thread in which such queries run is a
    good part of what a short run costs.
    """

    def __init__(self) -> None:
        self._due: asyncio.Task[None] | None = None

    def tidy_soon(self) -> None:
        """Close old connections, now that a run has ended."""
        if self._due is None:
            self._due = asyncio.create_task(self._tidy_later())

    async def close(self) -> None:
        """Do now what is due, unless that thread is kept by something that does not end."""
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
            await asyncio.wait([asyncio.create_task(_tidy())], timeout=PAUSE_SECONDS)

    async def _tidy_later(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        # Before it is done: a run that ends meanwhile may come too late for it.
        self._due = None
        await _tidy()


async def _tidy() -> None:
    await sync_to_async(close_old_connections)()
