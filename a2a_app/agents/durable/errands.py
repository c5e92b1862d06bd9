"""Errands: what is asked of another agent is sent once, and followed until there is an answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import Any, TypedDict

from a2a_app import conf
from a2a_app.agents.answers import Answer
from a2a_app.agents.durable.peers import DEPTH, Asking, Peer, PeerAwayError, peers
from a2a_app.agents.durable.waits import Wait
from a2a_app.protocol import (
    Message,
    NoRoomError,
    Part,
    Role,
    UnavailableError,
    UnsupportedOperationError,
)
from a2a_app.store.durable.remote_tasks import (
    RemoteAsk,
    has_come,
    note_answered,
    note_heard,
    note_remote_id,
    note_webhook,
    read_rung_at,
)

logger = logging.getLogger(__name__)

# For how long an agent may take to note that it is to tell us of a task.
CALL_US_SECONDS = 5.0
# The pauses between looks at an agent that does not answer.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# How soon an agent elsewhere is looked at again while the turn is put away.
SHORTEST_LOOK = timedelta(seconds=5)
LONGEST_LOOK = timedelta(seconds=60)
# For so long an agent may be away until what it was asked counts as failed.
PATIENCE = timedelta(hours=1)
# How often it is stored at most that an agent is there, which later attempts count from.
NOTE_EVERY = timedelta(minutes=5)


class LoopError(Exception):
    """Turns have asked each other, one by another, more often than MAX_ASK_DEPTH allows."""


class How(TypedDict, total=False):
    """How another agent is asked."""

    name: str
    """What it does, for people. Without it: `ask` and the agent's name."""
    task: Answer | str
    """The other agent's task that it continues, or a reply that has one. Without it: a new one."""
    context_id: str
    """The conversation with the other agent. Without it: that of the task, or a new one."""
    metadata: Mapping[str, Any]
    """Metadata of the request."""
    accepted_output_modes: Sequence[str]
    """The media types that the reply may have."""
    timeout: float | None
    """After how many seconds to give up, counted from the first attempt."""
    asks_client: bool
    """Whether a question of the other agent is passed on to the turn's client. Else it is the
    reply, which may be continued. True, if it is not said."""


class Errand:
    """Something that is asked of another agent, or said to it in answer to a question."""

    def __init__(
        self,
        asked: RemoteAsk,
        agent: str,
        parts: Sequence[Part],
        how: How,
        *,
        persist: Callable[..., Awaitable[Any]],
        asker: Callable[[], Awaitable[Any]],
        tenant: str,
        depth: int,
    ) -> None:
        """Make it of what is stored that it is asked.

        Args:
            asked: What is stored.
            agent: The other agent, as the code names it.
            parts: What is asked.
            how: How it is asked.
            persist: Does a unit of work in the database.
            asker: Returns who asks, as `Asking.by` has it.
            tenant: The key of the tenant in which an agent of this project is asked.
            depth: How many turns have led to it.
        """
        self.asked = asked
        self.agent, self._parts, self._how = agent, parts, how
        self._persist, self._asker, self._depth = persist, asker, depth
        self._tenant = tenant
        self._answers: Sequence[Part] | None = None
        self._is_local = peers().is_local(agent)
        self._loop = asyncio.get_running_loop()
        self._made_at = self._loop.time()
        self._heard_at, self._rung_at = asked.heard_at, asked.rung_at
        self.idle = asyncio.Event()
        """Set once the other agent was heard of, or while it is away: nothing is on the way."""
        timeout = how.get("timeout")
        self._until = None if timeout is None else asked.created_at + timedelta(seconds=timeout)

    def check_depth(self) -> None:
        """Raise LoopError where too many turns have led to it."""
        most = conf.current().max_ask_depth
        if self._depth > most:
            raise LoopError(f"MAX_ASK_DEPTH is {most}: is it a loop?")

    @property
    def now(self) -> datetime:
        """The time on the database's clock, on which wake-ups and what is stored are."""
        return self.asked.read_at + timedelta(seconds=self._loop.time() - self._made_at)

    @property
    def asks_client(self) -> bool:
        """Whether questions of the other agent are passed on."""
        return self._how.get("asks_client", True)

    @property
    def seconds_left(self) -> float:
        """For how many seconds more it may take."""
        return inf if self._until is None else (self._until - self.now).total_seconds()

    @property
    def wait_seconds(self) -> float | None:
        """The same, as asyncio has it."""
        return None if self._until is None else max(0.0, self.seconds_left)

    @property
    def wait(self) -> Wait:
        """What the turn waits for: an agent elsewhere is looked at again later and later."""
        if self._is_local:
            return Wait(self._until, partial(has_come, self.asked.id))
        now = self.now
        pause = (
            LONGEST_LOOK
            if self.asked.has_webhook
            else min(LONGEST_LOOK, max(SHORTEST_LOOK, (now - self.asked.created_at) / 2))
        )
        until = now + pause if self._until is None else min(self._until, now + pause)
        return Wait(until, self._is_rung)

    def _is_rung(self) -> bool:
        """Tell whether the other agent has told us of something since this was asked last."""
        earlier, self._rung_at = self._rung_at, read_rung_at(self.asked.id)
        return self._rung_at != earlier

    async def have_us_called(self) -> None:
        """Ask an agent elsewhere to tell us of the task; without that it is looked at."""
        asked = self.asked
        if self._is_local or asked.has_webhook or not asked.remote_id:
            return
        try:
            async with (
                asyncio.timeout(CALL_US_SECONDS),
                peers().connect(self.agent, Asking(None, await self._asker())) as peer,
            ):
                has_webhook = await peer.call_us(asked.remote_id, asked.id)
        except Exception as error:  # whatever a connection may raise: it is not needed
            logger.info("%s will not tell us of task %s: %s", self.agent, asked.remote_id, error)
            return
        if has_webhook:
            await self._persist(note_webhook, asked.id)
            self.asked = self.asked._replace(has_webhook=True)

    def say(self, parts: Sequence[Part]) -> None:
        """Have the next answer be that to these parts, which answer the agent's next question."""
        self._answers = parts
        self.idle.clear()

    async def answer(self) -> Answer:
        """Return the answer, once there is one, however often the agent is away meanwhile.

        Raises:
            A2AError: The agent refuses.
            PeerAwayError, UnavailableError: It was away for longer than PATIENCE.
            RemoteAgentError: It does not speak the protocol.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            self.idle.clear()
            began_at = self.now
            asking = Asking(self.asked.id, await self._asker(), self._tenant)
            try:
                async with peers().connect(self.agent, asking) as peer:
                    answer = await self._follow(peer)
                if answer is not None:
                    return answer
                pause = FIRST_PAUSE_SECONDS
            except (PeerAwayError, UnavailableError) as error:
                if self._heard_at >= began_at:  # a stream has broken off that was there until now
                    pause, self._heard_at = FIRST_PAUSE_SECONDS, self.now
                if _is_final(error) or self.now > self._heard_at + PATIENCE:
                    raise
            self.idle.set()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)

    async def _follow(self, peer: Peer) -> Answer | None:
        """Say what is to be said, and follow it; return None if the stream broke off."""
        asked, message = self.asked, self._message()
        if message is None:
            events = peer.follow(asked.remote_id)
        else:
            events = peer.ask(
                message,
                key=message.message_id,
                metadata={**self._how.get("metadata", {}), DEPTH: self._depth},
                accepted_output_modes=self._how.get("accepted_output_modes", ()),
            )
        try:
            async with aclosing(events):
                async for event in events:
                    await self._note(event)
                    if event.response.message is not None:
                        return event
                    if event.is_over:
                        break
        except UnsupportedOperationError:
            # The other task has ended meanwhile: it is not followed, and takes no answer any more.
            if not asked.remote_id:
                raise
            if self._answers is not None:
                await self._note_answered()
        answer = await peer.look_at(self.asked.remote_id)
        await self._note_heard()
        return answer if answer.is_over else None

    async def _note(self, event: Answer) -> None:
        """Note that the other agent is there, and that the message has come."""
        await self._note_heard()
        if self._answers is not None:
            await self._note_answered()
        elif not self.asked.remote_id and event.task_id:
            self.asked = self.asked._replace(remote_id=event.task_id)
            await self._persist(note_remote_id, self.asked.id, event.task_id)
        if self._message() is None and not event.is_over:
            self.idle.set()

    async def _note_heard(self) -> None:
        self._heard_at = self.now
        if self._heard_at > self.asked.heard_at + NOTE_EVERY:
            self.asked = self.asked._replace(heard_at=self._heard_at)
            await self._persist(note_heard, self.asked.id, self._heard_at)

    async def _note_answered(self) -> None:
        number = self.asked.answered + 1
        await self._persist(note_answered, self.asked.id, number)
        self.asked, self._answers = self.asked._replace(answered=number), None

    def _message(self) -> Message | None:
        asked, task = self.asked, self._how.get("task", "")
        if self._answers is not None:
            key, parts = f"{asked.id}-{asked.answered + 1}", self._answers
            task_id, context_id = asked.remote_id, ""
        elif not asked.remote_id:
            key, parts = str(asked.id), self._parts
            task_id = task if isinstance(task, str) else task.task_id
            context_id = self._how.get("context_id", "")
        else:
            return None
        return Message(
            message_id=key,
            role=Role.USER,
            parts=list(parts),
            task_id=task_id,
            context_id=context_id,
        )


def depth_of(metadata: Mapping[str, Any]) -> int:
    """Return how many turns have led to a request, by its metadata."""
    said = metadata.get(DEPTH)
    # In a message that has passed through protobuf, as the official SDK sends it, 1 is 1.0.
    return int(said) if isinstance(said, int | float) and 0 < said < inf else 0


def _is_final(error: PeerAwayError | UnavailableError) -> bool:
    """Tell whether to ask again does not help in time, as where a budget is used up."""
    if not isinstance(error, UnavailableError):
        return False
    return isinstance(error, NoRoomError) or error.retry_seconds > PATIENCE.total_seconds()
