"""Followers: each is one stream's place in a task's log, from which it reads on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import UUID

from a2a_app import conf, database
from a2a_app.concurrency.budget import Reservation, reserve
from a2a_app.feed.topics import Buffer, current_feed
from a2a_app.protocol import TaskState
from a2a_app.store.events import Event, LargeReadError, Position


@dataclass(frozen=True, slots=True)
class Until:
    """Where following ends, besides the end of the task."""

    turn: int | None = None
    """End when the task waits for its client in this turn or a later one. None: go on then."""
    turn_over: bool = True
    """End there only once that turn is over, since an agent may ask and go on without an answer."""

    def reached(self, state: TaskState, turn: int, answered: int) -> bool:
        """Tell whether following ends after an event.

        Args:
            state: The task's state after the event.
            turn: The turn of the event.
            answered: The newest turn that was over then.
        """
        if state.is_terminal:
            return True
        if self.turn is None or not state.is_interrupted or turn < self.turn:
            return False
        return answered >= turn or not self.turn_over


class Follower:
    """One stream's place in a task's log, and the events that it has not taken yet.

    Use it as an asynchronous context manager. Inside, it misses no event of the task.
    """

    def __init__(self, task_id: UUID, *, owner: str, runs_here: bool = False) -> None:
        """Make a place in a task's log.

        Args:
            task_id: The task, which need not be stored yet.
            owner: The task's owner, among whose streams this one counts.
            runs_here: Whether the task's turn will probably run on this event loop. Then the
                topic joins the task's group a little later, if there are followers still. Events
                that other processes published before are read from the log.
        """
        self._owner = owner
        self._runs_here = runs_here
        self._feed = current_feed()
        self._topic = self._feed.topic(task_id)
        self._buffer = Buffer()
        # Room for the next event, where it is too large to be read without.
        self._room: Reservation | None = None

    async def __aenter__(self) -> "Follower":
        """Enter the task's topic; raise ResourceExhaustedError where the owner has all it may."""
        self._feed.open_stream(self._owner)
        try:
            await self._topic.enter(self._buffer, runs_here=self._runs_here)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._feed.close_stream(self._owner)
        self._release_room()
        await self._topic.exit(self._buffer)

    async def follow(self, start: Position, until: Until) -> AsyncGenerator[Sequence[Event], None]:
        """Yield the events after a position that was read inside this context.

        Yields:
            The next events, in order; an empty list after each `keepalive_seconds` without any.
            They have at most STREAM_BYTES together, or are one that is larger, which has its room
            in memory until the next are asked for.
        """
        topic, buffer = self._topic, self._buffer
        topic.begin(start)
        seq, state, turn = start.seq, start.state, start.turn
        buffer.is_behind = topic.seq > seq
        while not until.reached(state, turn, topic.answered_at(seq)) and not topic.is_deleted:
            quiet = buffer.is_empty and await buffer.stays_quiet()
            events = [] if quiet else await self._next(seq)
            last = self._before_end(events, until, state, turn)
            if last is not None:
                if last:
                    yield last
                return
            if events:
                seq, state, turn = events[-1].seq, events[-1].state, events[-1].turn
            if events or quiet or self._waits_for_room:
                yield events
            # An idle stream holds nothing of what it has sent.
            del events
            if not self._waits_for_room:
                self._release_room()

    @property
    def answered(self) -> int:
        """The newest turn of the task that is known to be over."""
        return self._topic.answered

    async def _next(self, seq: int) -> Sequence[Event]:
        if not self._buffer.is_behind:
            return self._buffer.take_after(seq)
        try:
            events = await self._read_after(seq)
        except database.AwayError:
            # It may be back soon, and it has all events that this stream still has to show.
            await asyncio.sleep(conf.current().poll_seconds)
            return []
        if self._waits_for_room:
            return []
        newest = events[-1].seq if events else seq
        if not events and newest < self._topic.seq:
            # They were committed: the log, or the task, was taken away meanwhile.
            self._topic.end()
        # Events that came during the read were not buffered: read on until none is missing.
        self._buffer.is_behind = newest < self._topic.seq
        return events

    async def _read_after(self, seq: int) -> Sequence[Event]:
        """Read the next events; none while this stream waits for room for a large one."""
        if self._room is None:
            try:
                return await self._topic.read_after(seq)
            except LargeReadError as large:
                self._room = reserve(self._owner, large.size)
        if await self._room.wait(conf.current().keepalive_seconds):
            return await self._topic.read_large(seq)
        return []

    @property
    def _waits_for_room(self) -> bool:
        return self._room is not None and not self._room.is_granted

    def _release_room(self) -> None:
        if self._room is not None:
            self._room.release()
            self._room = None

    @staticmethod
    def _before_end(
        events: Sequence[Event], until: Until, state: TaskState, turn: int
    ) -> Sequence[Event] | None:
        """Return the events before the end of following; None if it comes after all of them.

        Args:
            events: The next events.
            until: Where following ends.
            state: The task's state before them.
            turn: The turn before them.
        """
        for index, event in enumerate(events):
            # If the next event is of a later turn, this turn is over; otherwise it is not.
            if until.reached(state, turn, event.turn - 1):
                return events[:index]
            state, turn = event.state, event.turn
        return None
