"""The feed: a task's events after a number, in order, each once, as they come (R4).

The log is the truth, and the bell only saves looking. The order that loses nothing: enter (listen
first), then read the task and its number together, then follow from that number.

A topic is one task as this event loop follows it; a follower is one stream's place in it.
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

# Events read from the log at once: the memory that one reading takes.
READ_LIMIT = 256
# How long a stream of a task that is worked on here goes without the layer. An agent that has
# answered by then has saved it the way to join the task's group and to leave it.
JOIN_SECONDS = 0.1
# Tasks asked for in one statement of the poll.
POLL_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Until:
    """Where following ends, apart from the end of the task."""

    turn: int | None = None
    """End where the task waits for its client in this turn or a later one; None: never there."""
    turn_over: bool = True
    """Only once that turn is over: an agent may ask for something and go on without an answer."""

    def reached(self, state: TaskState, turn: int, answered: int) -> bool:
        """Tell whether an event of that state and turn is the last one to follow."""
        if state.is_terminal:
            return True
        if self.turn is None or not state.is_interrupted or turn < self.turn:
            return False
        return answered >= turn or not self.turn_over


class Follower:
    """One stream's place in a task's log, and the events that have come since it last took some.

    Use as an asynchronous context manager: inside, no news of the task is missed.
    """

    def __init__(self, task_id: UUID, *, at_hand: bool = False) -> None:
        """Make a place in a task's log.

        Args:
            task_id: The task, which need not be stored yet.
            at_hand: Whether it will be this event loop that works on the task, as far as can be
                told. Then it joins the group of those who are told by other processes a little
                later, if it is still needed; what was told before that is read from the log.
        """
        self._at_hand = at_hand
        self._topic = _feeds.get().topic(task_id)
        self._buffer: list[Event] = []
        self._behind = False
        self._wake = asyncio.Event()

    async def __aenter__(self) -> "Follower":
        await self._topic.enter(self, at_hand=self._at_hand)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._topic.exit(self)

    async def follow(self, start: Position, until: Until) -> AsyncGenerator[list[Event], None]:
        """Yield what comes after a position that was read inside this context.

        Yields:
            The next events, in order; an empty list after each `keepalive_seconds` without any.
        """
        topic = self._topic
        topic.begin(start)
        seq, state, turn = start.seq, start.state, start.turn
        self._behind = topic.seq > seq
        while not until.reached(state, turn, topic.answered_at(seq)) and not topic.gone:
            quiet = not self._behind and not self._buffer and await self._hear_nothing()
            events = [] if quiet else await self._next(seq)
            left = self._left(events, until, state, turn)
            if left is not None:
                if left:
                    yield left
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
        """Take events. A buffer that is full is given up: the log has them all (R5)."""
        if self._behind or len(self._buffer) + len(events) > conf.current().stream_buffer:
            self._behind = True
            self._buffer.clear()
        else:
            self._buffer.extend(events)
        self._wake.set()

    def wake(self) -> None:
        """Look again: something is known of the task that is not an event."""
        self._wake.set()

    async def _next(self, seq: int) -> list[Event]:
        if self._behind:
            try:
                events = await self._topic.read_after(seq)
            except database.AWAY:
                # It may be back soon, and has all that this stream has still to show.
                await asyncio.sleep(conf.current().poll_seconds)
                return []
            newest = events[-1].seq if events else seq
            # What came while the log was read was not kept: go on reading until level with it.
            self._behind = newest < self._topic.seq
            return events
        events = [event for event in self._buffer if event.seq > seq]
        self._buffer.clear()
        return events

    async def _hear_nothing(self) -> bool:
        """Wait for news; True if there is none for `keepalive_seconds`."""
        self._wake.clear()
        try:
            async with asyncio.timeout(conf.current().keepalive_seconds):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    @staticmethod
    def _left(events: list[Event], until: Until, state: TaskState, turn: int) -> list[Event] | None:
        """Give what is still to follow, where others come after it; None: all of it is."""
        for place, event in enumerate(events):
            # Where the next event is of a later turn, this one was over, and else it was not.
            if until.reached(state, turn, event.turn - 1):
                return events[:place]
            state, turn = event.state, event.turn
        return None


class Topic:
    """One task as this event loop follows it: what is known of it, and who wants to know."""

    def __init__(self, feed: "Feed", task_id: UUID) -> None:
        self.task_id = task_id
        self.seq = 0
        self.answered = 0
        self.gone = False
        self._feed = feed
        self._begun = False
        self._heard = 0
        self._followers: set[Follower] = set()
        self._reading: asyncio.Task[None] | None = None
        self._to_join: asyncio.TimerHandle | None = None
        self._joining: asyncio.Task[None] | None = None

    async def enter(self, follower: Follower, *, at_hand: bool) -> None:
        """Give the follower what comes from now on."""
        self._followers.add(follower)
        self._feed.add(self)
        if not at_hand:
            await broadcast.listen(self._group, self._hear)
            return
        broadcast.listen_here(self._group, self._hear)
        if self._to_join is None:
            loop = asyncio.get_running_loop()
            self._to_join = loop.call_later(JOIN_SECONDS, self._join_soon, context=Context())

    async def exit(self, follower: Follower) -> None:
        """Forget the follower, and with the last one the task."""
        self._followers.discard(follower)
        if not self._followers:
            self._feed.remove(self)
            if self._to_join is not None:
                self._to_join.cancel()
                self._to_join = None
            await broadcast.leave(self._group, self._hear)

    @property
    def _group(self) -> str:
        return broadcast.task_group(self.task_id)

    def _join_soon(self) -> None:
        self._joining = asyncio.create_task(self._join())

    async def _join(self) -> None:
        if self._followers:
            await broadcast.listen(self._group, self._hear)
            # What others have told before is in the log.
            await self._feed.look([self.task_id])

    def begin(self, start: Position) -> None:
        """Count from the newest number that a follower has read of the task."""
        if not self._begun:
            self._begun, self.seq = True, start.newest
        self.learn(start.newest, start.answered)

    def learn(self, seq: int, answered: int) -> None:
        """Know of a number, with or without its events; the log has those that are missing."""
        self._heard = max(self._heard, seq)
        if answered > self.answered:
            self.answered = answered
            self._wake_all()
        if self._begun and self._heard > self.seq and self._reading is None:
            self._reading = asyncio.create_task(self._catch_up())

    def end(self) -> None:
        """Know that the task is no more: no stream outlives it."""
        self.gone = True
        self._wake_all()

    def answered_at(self, seq: int) -> int:
        """Give the newest turn that is over for one who has read up to a number.

        With events still unread it cannot be told: the turn may go on in them.
        """
        return self.answered if seq >= self._heard else 0

    async def read_after(self, seq: int) -> list[Event]:
        """Read the log after a number."""
        return await database.run(events_after, self.task_id, seq, limit=READ_LIMIT)

    def _hear(self, message: dict[str, Any]) -> None:
        news = TaskChanged.parse(message)
        fresh = [event for event in news.events if event.seq > self.seq]
        if self._begun and self._reading is None and fresh and fresh[0].seq == self.seq + 1:
            self._deliver(fresh)
        self.learn(news.seq, news.answered)

    async def _catch_up(self) -> None:
        """Read what was heard of and did not come, once for all followers."""
        try:
            while self.seq < self._heard:
                events = await self.read_after(self.seq)
                if not events:
                    break
                self._deliver(events)
        except database.AWAY:
            pass  # The next poll tries again.
        except Exception:  # as above
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
    """All topics of one event loop, and the poll that finds what the bell has lost."""

    def __init__(self) -> None:
        self._topics: dict[UUID, Topic] = {}
        self._polling: asyncio.Task[None] | None = None

    def topic(self, task_id: UUID) -> Topic:
        """Give the topic of a task, the one that is followed or a new one."""
        return self._topics.get(task_id) or Topic(self, task_id)

    def add(self, topic: Topic) -> None:
        """Poll for a topic too."""
        self._topics[topic.task_id] = topic
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())

    def remove(self, topic: Topic) -> None:
        """Poll for a topic no longer."""
        if self._topics.get(topic.task_id) is topic:
            del self._topics[topic.task_id]

    async def _poll(self) -> None:
        while self._topics:
            await asyncio.sleep(conf.current().poll_seconds)
            keys = list(self._topics)
            for start in range(0, len(keys), POLL_LIMIT):
                await self.look(keys[start : start + POLL_LIMIT])

    async def look(self, keys: list[UUID]) -> None:
        """See whether there are events of these tasks that nobody has told of; raises nothing."""
        try:
            await self._ask(keys)
        except database.AWAY:
            pass  # It may be back next time.
        except Exception:  # no stream must be without its poll
            logger.warning("Could not look for events.", exc_info=True)

    async def _ask(self, keys: list[UUID]) -> None:
        known = {key: topic for key in keys if (topic := self._topics.get(key)) is not None}
        # Asked before the read: a task that is stored meanwhile is not found, but is not gone.
        stored = {key for key, topic in known.items() if topic.seq}
        found = await database.run(read_positions, keys)
        for key, seq, answered in found:
            if key in known:
                known[key].learn(seq, answered)
        for key in stored - {key for key, _, _ in found}:
            known[key].end()


_feeds = PerLoop(Feed)
