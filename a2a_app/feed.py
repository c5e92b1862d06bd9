"""The feed: a task's events after a number, in order, each once, as they come (R4).

The events are in the log. Messages between processes only make it unnecessary to poll the log all
the time. To lose no event, enter the follower first, which listens to messages; then read the task
and its number together; then follow from that number.

A topic is a task that this event loop follows. A follower is one stream's place in its log.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from a2a_app import broadcast, conf, database
from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.protocol import TaskState
from a2a_app.store.events import Event, Position
from a2a_app.store.notify import TaskChanged
from a2a_app.store.reads.tasks import events_after, read_positions

logger = logging.getLogger(__name__)

# How many events are read from the log at once, which limits the memory that one read takes.
READ_LIMIT = 256
# How long a stream of a task whose turn runs on this event loop waits before it joins the task's
# group. If the agent has answered by then, the stream need neither join the group nor leave it.
JOIN_SECONDS = 0.1
# How many tasks one statement of the poll asks for.
POLL_LIMIT = 500


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

    def __init__(self, task_id: UUID, *, runs_here: bool = False) -> None:
        """Make a place in a task's log.

        Args:
            task_id: The task, which need not be stored yet.
            runs_here: Whether the task's turn will probably run on this event loop. Then the
                topic joins the task's group a little later, if there are followers still. Events
                that other processes published before are read from the log.
        """
        self._runs_here = runs_here
        self._topic = _feeds.get().topic(task_id)
        self._buffer: list[Event] = []
        self._behind = False
        self._wake = asyncio.Event()

    async def __aenter__(self) -> "Follower":
        await self._topic.enter(self, runs_here=self._runs_here)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._topic.exit(self)

    async def follow(self, start: Position, until: Until) -> AsyncGenerator[list[Event], None]:
        """Yield the events after a position that was read inside this context.

        Yields:
            The next events, in order; an empty list after each `keepalive_seconds` without any.
        """
        topic = self._topic
        topic.begin(start)
        seq, state, turn = start.seq, start.state, start.turn
        self._behind = topic.seq > seq
        while not until.reached(state, turn, topic.answered_at(seq)) and not topic.is_deleted:
            quiet = not self._behind and not self._buffer and await self._stays_quiet()
            events = [] if quiet else await self._next(seq)
            last = self._before_end(events, until, state, turn)
            if last is not None:
                if last:
                    yield last
                return
            if events:
                seq, state, turn = events[-1].seq, events[-1].state, events[-1].turn
            if events or quiet:
                yield events

    @property
    def answered(self) -> int:
        """The newest turn of the task that is known to be over."""
        return self._topic.answered

    def offer(self, events: Sequence[Event]) -> None:
        """Buffer events. A full buffer is dropped, since the log has all events (R5)."""
        if self._behind or len(self._buffer) + len(events) > conf.current().stream_buffer:
            self._behind = True
            self._buffer.clear()
        else:
            self._buffer.extend(events)
        self._wake.set()

    def wake(self) -> None:
        """Wake the stream, because something other than an event has changed."""
        self._wake.set()

    async def _next(self, seq: int) -> list[Event]:
        if self._behind:
            try:
                events = await self._topic.read_after(seq)
            except database.AwayError:
                # It may be back soon, and it has all events that this stream still has to show.
                await asyncio.sleep(conf.current().poll_seconds)
                return []
            newest = events[-1].seq if events else seq
            if not events and newest < self._topic.seq:
                # They were committed: the log, or the task, was taken away meanwhile.
                self._topic.end()
            # Events that came during the read were not buffered: read on until none is missing.
            self._behind = newest < self._topic.seq
            return events
        events = [event for event in self._buffer if event.seq > seq]
        self._buffer.clear()
        return events

    async def _stays_quiet(self) -> bool:
        """Wait to be woken; return True if that does not happen for `keepalive_seconds`."""
        self._wake.clear()
        try:
            async with asyncio.timeout(conf.current().keepalive_seconds):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    @staticmethod
    def _before_end(
        events: list[Event], until: Until, state: TaskState, turn: int
    ) -> list[Event] | None:
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


class Topic:
    """A task that this event loop follows: its newest number, and its followers."""

    def __init__(self, feed: "Feed", task_id: UUID) -> None:
        self.task_id = task_id
        self.seq = 0
        self.answered = 0
        self.is_deleted = False
        self._feed = feed
        self._begun = False
        self._newest = 0
        self._followers: set[Follower] = set()
        self._reading: asyncio.Task[None] | None = None
        self._join_timer: asyncio.TimerHandle | None = None
        self._joining: asyncio.Task[None] | None = None

    async def enter(self, follower: Follower, *, runs_here: bool) -> None:
        """Add a follower, which gets all events from now on."""
        self._followers.add(follower)
        self._feed.add(self)
        if not runs_here:
            await broadcast.listen(self._group, self._receive)
            return
        broadcast.listen_here(self._group, self._receive)
        if self._join_timer is None:
            loop = asyncio.get_running_loop()
            self._join_timer = loop.call_later(JOIN_SECONDS, self._start_joining, context=Context())

    async def exit(self, follower: Follower) -> None:
        """Remove a follower, and with the last one the topic."""
        self._followers.discard(follower)
        if not self._followers:
            self._feed.remove(self)
            if self._join_timer is not None:
                self._join_timer.cancel()
                self._join_timer = None
            await broadcast.leave(self._group, self._receive)

    @property
    def _group(self) -> str:
        return broadcast.task_group(self.task_id)

    def _start_joining(self) -> None:
        self._joining = asyncio.create_task(self._join())

    async def _join(self) -> None:
        if self._followers:
            await broadcast.listen(self._group, self._receive)
            # Events that others published before this are in the log.
            await self._feed.look_for_events([self.task_id])

    def begin(self, start: Position) -> None:
        """Begin at the newest number that a follower has read, unless the topic has begun."""
        if not self._begun:
            self._begun, self.seq = True, start.newest
        self.note(start.newest, start.answered)

    def note(self, seq: int, answered: int) -> None:
        """Note the newest number and the newest turn that is over; read events that are missing."""
        self._newest = max(self._newest, seq)
        if answered > self.answered:
            self.answered = answered
            self._wake_all()
        if self._begun and self._newest > self.seq and self._reading is None:
            self._reading = asyncio.create_task(self._catch_up())

    def end(self) -> None:
        """Note that the task or its log was deleted, and end its streams."""
        self.is_deleted = True
        self._wake_all()

    def answered_at(self, seq: int) -> int:
        """Return the newest turn that is over for a reader that has read up to a number.

        It is 0 while there are later events, since the turn may go on in them.
        """
        return self.answered if seq >= self._newest else 0

    async def read_after(self, seq: int) -> list[Event]:
        """Read the next events after a number from the log."""
        return await database.read(events_after, self.task_id, seq, limit=READ_LIMIT)

    def _receive(self, message: dict[str, Any]) -> None:
        change = TaskChanged.parse(message)
        new = [event for event in change.events if event.seq > self.seq]
        if self._begun and self._reading is None and new and new[0].seq == self.seq + 1:
            self._deliver(new)
        self.note(change.seq, change.answered)

    async def _catch_up(self) -> None:
        """Read events that are known of and did not come, once for all followers."""
        try:
            while self.seq < self._newest:
                events = await self.read_after(self.seq)
                if not events:
                    break
                self._deliver(events)
        except database.AwayError:
            pass  # The next poll tries again.
        except Exception:  # the next poll tries again after this too
            logger.warning("Could not read the log of task %s.", self.task_id, exc_info=True)
        finally:
            self._reading = None

    def _deliver(self, events: list[Event]) -> None:
        self.seq = events[-1].seq
        for follower in self._followers:
            follower.offer(events)

    def _wake_all(self) -> None:
        for follower in self._followers:
            follower.wake()


class Feed:
    """All topics of one event loop, and the poll that finds events whose messages were lost."""

    def __init__(self) -> None:
        self._topics: dict[UUID, Topic] = {}
        self._polling: asyncio.Task[None] | None = None

    def topic(self, task_id: UUID) -> Topic:
        """Return the topic of a task, which is new if the task is not followed yet."""
        return self._topics.get(task_id) or Topic(self, task_id)

    def add(self, topic: Topic) -> None:
        """Poll for the events of a topic."""
        self._topics[topic.task_id] = topic
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())

    def remove(self, topic: Topic) -> None:
        """Stop polling for the events of a topic."""
        if self._topics.get(topic.task_id) is topic:
            del self._topics[topic.task_id]

    async def _poll(self) -> None:
        while self._topics:
            await asyncio.sleep(conf.current().poll_seconds)
            keys = list(self._topics)
            for start in range(0, len(keys), POLL_LIMIT):
                await self.look_for_events(keys[start : start + POLL_LIMIT])

    async def look_for_events(self, keys: list[UUID]) -> None:
        """Look for events of tasks for which no message came; raises nothing."""
        try:
            await self._note_positions(keys)
        except database.AwayError:
            pass  # The next poll tries again.
        except Exception:  # the poll must go on
            logger.warning("Could not look for events.", exc_info=True)

    async def _note_positions(self, keys: list[UUID]) -> None:
        topics = {key: topic for key in keys if (topic := self._topics.get(key)) is not None}
        # Asked before the read: a task that is stored meanwhile is not found, but is not deleted.
        stored = {key for key, topic in topics.items() if topic.seq}
        positions = await database.read(read_positions, keys)
        for key, seq, answered in positions:
            if key in topics:
                topics[key].note(seq, answered)
        for key in stored - {key for key, _, _ in positions}:
            topics[key].end()


_feeds = PerLoop(Feed)
