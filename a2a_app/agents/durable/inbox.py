"""The inbox: what a client says while a turn works on what it has said before."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from a2a_app import database
from a2a_app.agents.durable.steps import Stepper
from a2a_app.agents.durable.waits import refuse_inside_step
from a2a_app.protocol import Message
from a2a_app.store.durable.inbox import READ_LIMIT, ReadEarlier, Waiting, read_earlier, read_waiting
from a2a_app.store.durable.steps import Kind, Outcome, Place
from a2a_app.store.refusals import RunLostError
from a2a_app.store.updates import MessageRead


class Inbox:
    """The messages that come while a turn is at work, each of which it may read once, in order.

    A message that is read is part of this turn. One that is not begins a turn of its own after it.
    An attempt after a crash reads again what earlier ones have read, at the same places.
    """

    def __init__(self, turn: "Listener") -> None:
        """Make the inbox of a turn, on the event loop that its writer uses."""
        self._turn = turn
        head = turn._claim.head
        self._task_id, self._context_id = head.task_id, head.context_id
        self._earlier: deque[ReadEarlier] = deque()
        self._last_step = 0
        self._waiting: deque[Waiting] = deque()
        self._newest = head.answered + 1
        self._may_have_more = head.turn > self._newest
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def get(self) -> Message:
        """Wait for the next message that this turn has not read, and read it.

        A caller that is cancelled has read none.

        Raises:
            RunLostError: The turn may no longer write to its task.
        """
        refuse_inside_step()
        await self.until_ready()
        if self._earlier:
            return self._earlier.popleft().message
        message = self._waiting[0].message
        # Nothing is waited for from here on, so that no message is read and then lost. What the
        # turn says next comes after it in the log, and a step waits until it is committed.
        self._turn._writer.accept(MessageRead(message.message_id, self._turn._steps))
        self._waiting.popleft()
        if not self._waiting:
            self._look()
        return message

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Yield messages as they come, for as long as the turn is at work."""
        while True:
            yield await self.get()

    def __iter__(self) -> Iterator[Message]:
        """Yield messages as they come, in an agent without `async`."""
        if threading.get_ident() == self._turn._thread:
            raise RuntimeError("An agent with `async` reads its inbox by `async for`.")
        while True:
            yield self._turn.wait(self.get())

    @property
    def is_ready(self) -> bool:
        """Whether there is a message to read."""
        steps, repetition = self._turn._steps, self._turn._writer.repetition
        if self._earlier:
            _, after_step, seq = self._earlier[0]
            return steps >= after_step and (repetition is None or repetition.is_past(seq))
        # What waits now did not, or was not read, where an earlier attempt was at this place.
        is_new = steps >= self._last_step and (repetition is None or repetition.is_over)
        return is_new and bool(self._waiting)

    async def until_ready(self) -> None:
        """Wait until there is a message to read; raise RunLostError."""
        while not self.is_ready:
            if self._turn.is_canceled:
                raise RunLostError
            self._changed.clear()
            await self._changed.wait()

    # For the runner.

    def ring(self, seq: int) -> None:
        """Look for messages if the log has got something that this turn has not written."""
        head = self._turn._writer.head
        if seq > head.seq or head.turn > self._newest:
            self._may_have_more = True
            self._look()

    def wake(self) -> None:
        """Have whoever waits here look again, because the turn has gone on or is over."""
        self._changed.set()

    async def open(self) -> None:
        """Read what earlier attempts have read, and begin to look for messages."""
        turn = self._turn
        if turn._claim.attempt > 1:
            first, last = turn.number, self._newest
            read = await turn._writer.persist(
                read_earlier, self._task_id, self._context_id, first=first, last=last
            )
            self._earlier.extend(read)
            self._last_step = max((await turn.read_recorded()).steps, default=0)
            if turn._writer.repetition is not None:
                turn._writer.repetition.on_progress = self.wake
        self._look()

    async def close(self) -> None:
        """Look for no more messages."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _look(self) -> None:
        if self._may_have_more and self._looking is None and not self._waiting:
            self._looking = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while self._may_have_more and not self._waiting:
                self._may_have_more = False
                found = await database.read(
                    read_waiting, self._task_id, self._context_id, after=self._newest
                )
                self._waiting.extend(found)
                self._may_have_more |= len(found) == READ_LIMIT
                if found:
                    self._newest = found[-1].turn
                    self.wake()
        except database.AwayError:
            self._may_have_more = True  # the next poll of the log rings again
        finally:
            self._looking = None


class Interrupted:
    """Whether the client has said something that the turn has not read, as an event to wait for."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def is_set(self) -> bool:
        """Tell whether a message waits in `turn.inbox`."""
        return self._inbox.is_ready

    async def wait(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  # as an event's
        """Wait until a message waits there; return False if none does for so many seconds.

        In a synchronous agent: `turn.wait(turn.interrupted.wait())`.

        Raises:
            RunLostError: The turn may no longer write to its task.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._inbox.until_ready()
        return self._inbox.is_ready


class Listener(Stepper):
    """What a turn hears while it is at work."""

    _canceled = False
    _inbox: Inbox | None = None

    @property
    def is_canceled(self) -> bool:
        """Whether the run may no longer write to its task, so that further work is in vain.

        Asynchronous agents are cancelled and need not check it.
        """
        return self._canceled

    @property
    def inbox(self) -> Inbox:
        """The messages that come while this turn is at work, for agents that take live input."""
        if self._inbox is None:
            raise RuntimeError(
                f"Agent {self._claim.head.agent!r} has no inbox: declare when_busy='live'."
            )
        return self._inbox

    @property
    def interrupted(self) -> Interrupted:
        """Whether a message waits in the inbox: `turn.interrupted.is_set()`, or wait for it."""
        return Interrupted(self.inbox)

    # For the runner.

    def listen(self) -> Inbox:
        """Make the inbox, and return it."""
        self._inbox = Inbox(self)
        return self._inbox

    def mark_canceled(self) -> None:
        """Set `is_canceled`, since the run may no longer write to the task."""
        self._canceled = True
        if self._inbox is not None:
            self._inbox.wake()

    def _place(self, name: str, kind: Kind) -> Place:
        place = super()._place(name, kind)
        if self._inbox is not None:
            self._inbox.wake()
        return place

    async def _earlier(self, place: Place) -> Outcome | None:
        if self._inbox is not None:
            # What was read before the step must be known to an attempt that gets its result.
            await self._writer.flushed()
        return await super()._earlier(place)
