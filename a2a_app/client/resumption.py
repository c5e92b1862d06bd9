"""Requests that are sent again, and streams that are taken up again where they broke off."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from a2a_app import protocol
from a2a_app.agents.answers import Answer, Event
from a2a_app.agents.extensions import STREAM_RESUMPTION
from a2a_app.client.connection import Connection, Request
from a2a_app.client.refusals import UnreachableError
from a2a_app.protocol import (
    GetTaskRequest,
    Model,
    NoRoomError,
    SubscribeToTaskRequest,
    Task,
    UnavailableError,
)

logger = logging.getLogger(__name__)

# The pauses between tries of a request that may be sent again.
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
# A server that wants to be left alone for longer is not asked again.
LONGEST_PAUSE = 30.0


class Tries:
    """The tries of one request, and the pauses between them."""

    def __init__(self, agent: str) -> None:
        """Count the tries to reach an agent, which the log calls by this name."""
        self._agent = agent
        self.begin()

    def begin(self) -> None:
        """Count from the beginning, since there was an answer."""
        self._pauses = iter(PAUSES)

    async def pause(self, error: Exception) -> None:
        """Wait before the next try; raise the error if there is none."""
        pause = next(self._pauses, None)
        if pause is None:
            raise error
        if isinstance(error, UnavailableError):
            pause = max(pause, error.retry_seconds)
        if pause > LONGEST_PAUSE:
            raise error
        # Random, so that not all clients of a server that is back come at the same moment.
        pause *= random.uniform(1, 1.5)  # noqa: S311  # no secret
        logger.info("%s is asked again in %.1f s: %s", self._agent, pause, error)
        await asyncio.sleep(pause)


async def ask(connection: Connection, request: Request, agent: str) -> dict[str, Any]:
    """Ask an agent, and ask again where that is safe. The errors are those of `Connection.ask`."""
    tries = Tries(agent)
    while True:
        try:
            return await connection.ask(request)
        except (UnreachableError, UnavailableError) as error:
            if not may_repeat(request, error):
                raise
            await tries.pause(error)


async def follow(
    connection: Connection, request: Request, agent: str
) -> AsyncGenerator[Event, None]:
    """Yield the events of a stream, each once, over as many connections as that takes.

    Without our extension for it, a stream that broke off goes on with the task as it is then.
    The errors are those of `Connection.ask`.
    """
    seen, tries = _Stream(connection, request), Tries(agent)
    while True:
        broken: Exception | None = None
        try:
            async with aclosing(seen.events()) as events:
                async for event in events:
                    if seen.has_moved:
                        tries.begin()
                    yield event
        except (UnreachableError, UnavailableError) as error:
            broken = error
        if seen.is_whole(broken):
            return
        broken = broken or UnreachableError("The stream ended before its task.")
        if not seen.may_go_on(broken):
            raise broken
        await tries.pause(broken)
        seen.go_on()


class _Stream:
    """What was seen of a stream, and the request by which it goes on."""

    def __init__(self, connection: Connection, first: Request) -> None:
        self._connection, self._request = connection, first
        self._newest: Event | None = None
        self._task_id = ""
        self._is_over = self._has_ended = False
        self._shows_again = False
        self.has_moved = False
        """Whether the newest event is one that was not there before the stream last broke off."""

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield the next events."""
        # What a subscription without a number begins with is the task as it is.
        self._shows_again = self._newest is not None and not self._request.last_event_id
        try:
            async with aclosing(self._connection.open(self._request)) as events:
                async for event in events:
                    self._note(event)
                    yield event
        except protocol.UnsupportedOperationError:
            if not self._task_id:
                raise
            # The task has ended meanwhile, and cannot be followed any more.
            params = GetTaskRequest(id=self._task_id)
            request = self._next_request("GetTask", params)
            found = await self._connection.ask(request)
            event = Event(Answer.of(Task.from_dict(found)).response)
            self._note(event)
            yield event

    def _note(self, event: Event) -> None:
        self.has_moved, self._shows_again = not self._shows_again, False
        self._newest = event
        self._task_id = event.task_id or self._task_id
        if event.state is not None or event.response.message is not None:
            self._is_over = event.is_over
            self._has_ended = event.state is None or event.state.is_terminal

    def is_whole(self, broken: Exception | None) -> bool:
        """Tell whether nothing is missing of a stream that has ended, or broke off."""
        return self._has_ended or (self._is_over and broken is None)

    def may_go_on(self, error: Exception) -> bool:
        return bool(self._task_id) or may_repeat(self._request, error)

    def go_on(self) -> None:
        """Make the request that goes on after the newest event."""
        if not self._task_id or self._newest is None:
            return
        is_numbered = self._connection.has_extension(STREAM_RESUMPTION.uri)
        number = self._newest.number if is_numbered else None
        params = SubscribeToTaskRequest(id=self._task_id)
        self._request = self._next_request(
            "SubscribeToTask", params, last_event_id="" if number is None else str(number)
        )

    def _next_request(self, operation: str, params: Model, **more: Any) -> Request:
        """Return a request that has of the first one only which extensions it activates."""
        extensions = self._request.extensions
        return Request(operation=operation, params=params, extensions=extensions, **more)


def may_repeat(request: Request, error: Exception) -> bool:
    """Tell whether a request may be sent again after an error, without being taken twice."""
    if isinstance(error, UnreachableError) and not error.is_sent:
        return True
    if isinstance(error, NoRoomError):
        return False  # To wait does not help.
    if not isinstance(error, UnreachableError | UnavailableError):
        return False
    is_message = request.operation in ("SendMessage", "SendStreamingMessage")
    return not is_message or bool(request.idempotency_key)
