"""Bells: each tells of what a task's log has got since, to whoever reads something else then."""

from collections.abc import Callable, Sequence

from a2a_app.feed.topics import Buffer, current_feed
from a2a_app.store.events import Event, Position


class Bell(Buffer):
    """Calls a function whenever a task's log has grown, whoever has written to it.

    Use it as an asynchronous context manager. It takes no events, and counts as no stream.
    """

    def __init__(self, start: Position, ring: Callable[[int], None]) -> None:
        """Make a bell for a task whose turn runs on this event loop.

        Args:
            start: The task, and the number from which on its log is looked at.
            ring: Called with the number that the log has reached.
        """
        super().__init__()
        self._start = start
        self._ring = ring
        self._topic = current_feed().topic(start.task_id)

    async def __aenter__(self) -> "Bell":
        """Ring from now on."""
        await self._topic.enter(self, runs_here=True)
        self._topic.begin(self._start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._topic.exit(self)

    def offer(self, events: Sequence[Event], size: int) -> None:  # as of a buffer
        """Ring for events, and let go of them."""
        self._ring(events[-1].seq)

    def fall_behind(self) -> None:
        """Ring for events that are too large to be offered."""
        self._ring(self._topic.seq)
