"""Topics: the tasks that an event loop follows, and the buffers of those who follow them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextvars import Context
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from a2a_app import broadcast, conf, database
from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.database.values import byte_length
from a2a_app.protocol import ResourceExhaustedError
from a2a_app.store.events import Event, LargeReadError, Position
from a2a_app.store.notify import TaskChanged
from a2a_app.store.reads.log import events_after, read_positions

logger = logging.getLogger(__name__)

# How many events are read from the log at once, which limits the memory that one read takes.
READ_LIMIT = 256
# How long a stream of a task whose turn runs on this event loop waits before it joins the task's
# group. If the agent has answered by then, the stream need neither join the group nor leave it.
JOIN_SECONDS = 0.1
# How many tasks one statement of the poll asks for.
POLL_LIMIT = 500


class Buffer:
    """The events that one follower has not taken yet."""

    def __init__(self) -> None:
        self.is_behind = False
        """Whether events are missing here, and have to be read from the log."""
        self._events: list[Event] = []
        self._size = 0
        self._wake = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take and nothing to read."""
        return not self.is_behind and not self._events

    def offer(self, events: Sequence[Event], size: int) -> None:
        """Buffer events of so many bytes, which they share with other buffers.

        A full buffer is dropped, since the log has all events (R5).
        """
        settings = conf.current()
        is_full = len(self._events) + len(events) > settings.stream_buffer
        if self.is_behind or is_full or self._size + size > settings.stream_bytes:
            self.fall_behind()
        else:
            self._events.extend(events)
            self._size += size
            self._wake.set()

    def fall_behind(self) -> None:
        """Have the next events read from the log."""
        self.is_behind = True
        self._clear()
        self._wake.set()

    def take_after(self, seq: int) -> list[Event]:
        """Return the events after a number, and let go of all."""
        events = [event for event in self._events if event.seq > seq]
        self._clear()
        return events

    def _clear(self) -> None:
        self._events.clear()
        self._size = 0

    def wake(self) -> None:
        """Wake the follower, because something other than an event has changed."""
        self._wake.set()

    async def stays_quiet(self) -> bool:
        """Wait to be woken; return True if that does not happen for `keepalive_seconds`."""
        self._wake.clear()
        try:
            async with asyncio.timeout(conf.current().keepalive_seconds):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False


class LargeBatch(list[Event]):
    """Events that are too large for buffers, in a list that may be referred to weakly."""


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
        self._buffers: set[Buffer] = set()
        self._reading: asyncio.Task[None] | None = None
        self._join_timer: asyncio.TimerHandle | None = None
        self._joining: asyncio.Task[None] | None = None
        # By the number after which they begin. What one follower still holds serves the others.
        self._large: WeakValueDictionary[int, LargeBatch] = WeakValueDictionary()

    async def enter(self, buffer: Buffer, *, runs_here: bool) -> None:
        """Add a follower, which gets all events from now on."""
        self._buffers.add(buffer)
        self._feed.add(self)
        if not runs_here:
            await broadcast.listen(self._group, self._receive)
            return
        broadcast.listen_here(self._group, self._receive)
        if self._join_timer is None:
            loop = asyncio.get_running_loop()
            self._join_timer = loop.call_later(JOIN_SECONDS, self._start_joining, context=Context())

    async def exit(self, buffer: Buffer) -> None:
        """Remove a follower, and with the last one the topic."""
        self._buffers.discard(buffer)
        if not self._buffers:
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
        if self._buffers:
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

    async def read_after(self, seq: int) -> Sequence[Event]:
        """Read the next events after a number from the log.

        Raises:
            LargeReadError: The very next one has more than STREAM_BYTES.
        """
        most = conf.current().stream_bytes
        return await database.read(events_after, self.task_id, seq, limit=READ_LIMIT, most=most)

    async def read_large(self, seq: int) -> Sequence[Event]:
        """Read the next event after a number, however large, or share what another has of it."""
        batch = self._large.get(seq)
        if batch is None:
            found = await database.read(events_after, self.task_id, seq, limit=1)
            batch = self._large[seq] = LargeBatch(found)
        return batch

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
                try:
                    events = await self.read_after(self.seq)
                except LargeReadError:
                    self._leave_to_followers()
                    break
                if not events:
                    break
                self._deliver(events)
        except database.AwayError:
            pass  # The next poll tries again.
        except Exception:  # the next poll tries again after this too
            logger.warning("Could not read the log of task %s.", self.task_id, exc_info=True)
        finally:
            self._reading = None

    def _deliver(self, events: Sequence[Event]) -> None:
        self.seq = events[-1].seq
        size = sum(byte_length(event.body) for event in events)
        for buffer in self._buffers:
            buffer.offer(events, size)

    def _leave_to_followers(self) -> None:
        """Have each follower read on, because the next event is too large for their buffers."""
        self.seq = self._newest
        for buffer in self._buffers:
            buffer.fall_behind()

    def _wake_all(self) -> None:
        for buffer in self._buffers:
            buffer.wake()


class Feed:
    """All topics of one event loop, and the poll that finds events whose messages were lost."""

    def __init__(self) -> None:
        self._topics: dict[UUID, Topic] = {}
        self._streams: Counter[str] = Counter()
        self._polling: asyncio.Task[None] | None = None

    def topic(self, task_id: UUID) -> Topic:
        """Return the topic of a task, which is new if the task is not followed yet."""
        return self._topics.get(task_id) or Topic(self, task_id)

    def open_stream(self, owner: str) -> None:
        """Count a stream of an owner; raise ResourceExhaustedError where it has all it may have."""
        limit = conf.current().streams_per_owner
        if limit and self._streams[owner] >= limit:
            raise ResourceExhaustedError(
                f"You have {limit} streams and waiting requests open here. Close one of them.",
                limit="STREAMS_PER_OWNER",
            )
        self._streams[owner] += 1

    def close_stream(self, owner: str) -> None:
        """Count a stream of an owner as closed."""
        self._streams[owner] -= 1
        if not self._streams[owner]:
            del self._streams[owner]

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


def current_feed() -> Feed:
    """Return the feed of the running event loop."""
    return _feeds.get()


_feeds = PerLoop(Feed)
