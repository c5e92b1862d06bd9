"""One connection: its frames, the calls that are open over it, and its end."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from django.http import Http404, HttpRequest

from a2a_app import conf, logs, protocol, runners
from a2a_app.access import Guard
from a2a_app.agents import Agent
from a2a_app.bindings.callers import visible_agent
from a2a_app.bindings.calls import admit, parse_json
from a2a_app.bindings.expansion import BodyTooLargeError
from a2a_app.bindings.jsonrpc import JsonRpcResponder, id_of
from a2a_app.bindings.readers import SocketReader
from a2a_app.bindings.reauthentication import guard_of_connection
from a2a_app.bindings.responders import recorded_refusal
from a2a_app.bindings.threads import own_thread
from a2a_app.bindings.websocket.exchange import Exchange, end_of
from a2a_app.bindings.websocket.handshake import (
    note_session,
    request_for,
    request_of,
    slug_in,
)
from a2a_app.concurrency.event_loop import PerLoop

SUBPROTOCOL = "a2a.v1"
CANCEL = "cancelStream"
# How many calls may be open over one connection.
MOST_OPEN = 100
# For how long the calls of a caller who has lost its access may say so.
LAST_FRAMES_SECONDS = 1.0
# The codes of RFC 6455 with which a connection is closed.
UNSUPPORTED, REFUSED = 1003, 1008


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Serve a WebSocket at the URL of an agent, as an application of ASGI; refuse any other."""
    await receive()
    if conf.current().websocket:
        with ExitStack() as entered:
            try:
                request = request_of(scope)
                async with own_thread():
                    agent, guard = await _let_in(request, scope, entered)
            except Http404:
                pass
            except Exception as error:  # whatever it is, the client gets 403 and no more
                recorded_refusal(error, request)
            else:
                await _serve(Connection(request, agent, send, scope), guard, scope, receive)
                return
    await send({"type": "websocket.close"})


async def _let_in(request: HttpRequest, scope: Any, entered: ExitStack) -> tuple[Agent, Guard]:
    """Return the agent and the guard of a connection, once it is counted as one of its caller's."""
    request.get_host()  # raises where the host is not allowed
    await note_session(request, scope)
    agent = await visible_agent(request, slug_in(request.path_info))
    caller = await admit(request)
    entered.enter_context(_counted(caller.owner))
    await runners.current().begin()
    return agent, guard_of_connection(request, agent, caller)


@contextmanager
def _counted(owner: str) -> Iterator[None]:
    """Count a connection of an owner inside the `with`; raise ResourceExhaustedError."""
    counted, most = _connections.get(), conf.current().streams_per_owner
    if most and counted[owner] >= most:
        raise protocol.ResourceExhaustedError(
            f"You have {most} connections open. Close one of them.", limit="STREAMS_PER_OWNER"
        )
    counted[owner] += 1
    try:
        yield
    finally:
        counted[owner] -= 1
        if not counted[owner]:
            del counted[owner]


async def _serve(connection: "Connection", guard: Guard, scope: Any, receive: Any) -> None:
    try:
        await connection.accept(SUBPROTOCOL in scope.get("subprotocols", ()))
        await connection.read(receive, guard)
    finally:
        await connection.end()


class Connection:
    """One connection that is open."""

    def __init__(self, request: HttpRequest, agent: Agent, send: Any, scope: Any) -> None:
        """Make the connection of a handshake that was let in.

        Args:
            request: The handshake.
            agent: The agent of its URL.
            send: The server's.
            scope: The server's.
        """
        self._request = request
        self._agent = agent
        self._send = send
        self._reader = SocketReader(send, scope.get("client"))
        self._open: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_over = False
        self._is_closed = False

    async def accept(self, names_protocol: bool) -> None:
        """Accept the handshake, and the subprotocol if the client has named it."""
        accepted: dict[str, Any] = {"type": "websocket.accept"}
        if names_protocol:
            accepted["subprotocol"] = SUBPROTOCOL
        await self._send(accepted)

    async def read(self, receive: Any, guard: Guard) -> None:
        """Take the client's frames, until it is gone or cut off, or has lost its access."""

        async def take_all() -> None:
            while (message := await receive())["type"] == "websocket.receive":
                await self.take(message)
                del message  # A connection that waits holds nothing of what its client has said.

        self._reading = asyncio.create_task(take_all())
        try:
            with guard:
                await guard.wait(self._reading)
        except protocol.A2AError:  # of the guard
            # What is open has been ended with it, and says why.
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=LAST_FRAMES_SECONDS)
            await self._close(REFUSED)

    async def take(self, message: dict[str, Any]) -> None:
        """Take one frame of the client's, and begin to answer it."""
        if self._is_closed:
            return
        text = message.get("text")
        if text is None:
            await self._close(UNSUPPORTED)
            return
        await self._until_sent()
        key = "null"
        try:
            frame = _parsed(text)
            if frame.get("method") == CANCEL:
                self._cancel(frame)
                return
            key = id_of(frame)
            self._check_room(key)
        except protocol.A2AError as error:
            await self._refuse(error, key)
            return
        # Its id is free before the client has the last frame, with which it may use it again.
        close = partial(self._open.pop, key, None)
        exchange = Exchange(self._request, self._agent, frame, self._send_text, close)
        self._open[key] = task = asyncio.create_task(self._perform(exchange, key))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        # Until it has begun, a cancellation would leave it without an answer, and its id open.
        await asyncio.sleep(0)

    async def end(self) -> None:
        """End all calls, since the client is gone. What they have begun goes on."""
        self._is_over = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _perform(self, exchange: Exchange, key: str) -> None:
        try:
            refusal = await exchange.perform(key)
        except asyncio.CancelledError:
            if self._is_over:
                raise
            self._open.pop(key, None)
            await self._send_text(end_of(key))
            return
        if isinstance(refusal, protocol.UnauthenticatedError) and not exchange.is_anonymous:
            # Whoever that was, it is nobody any more, and has nothing to ask here.
            await self._close(REFUSED)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The client does not read, on a server that cuts it off once this application ends.
            self._reading.cancel()

    async def _until_sent(self) -> None:
        """Wait while many answers are on their way, which would take more and more memory.

        The client has to read them before anything more is read of it.
        """
        while len(self._tasks) - len(self._open) >= MOST_OPEN:
            with self._reader.unread():
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _check_room(self, key: str) -> None:
        if key in self._open:
            raise protocol.InvalidRequestError("id is that of a call which is open.")
        if len(self._open) >= MOST_OPEN:
            raise protocol.ResourceExhaustedError(
                f"{MOST_OPEN} calls are open over this connection.", limit="MOST_OPEN"
            )

    def _cancel(self, frame: Any) -> None:
        params = frame.get("params")
        task = self._open.get(id_of(params if isinstance(params, dict) else {}))
        # One that is being cancelled has to end as it must, and to say so.
        if task is not None and not task.cancelling():
            task.cancel()

    async def _refuse(self, error: protocol.A2AError, key: str) -> None:
        """Answer a frame that is no call with an error, and count it as one all the same."""
        logs.subject.set(logs.Subject(agent=self._agent.slug))
        try:
            async with own_thread():
                # Whoever has lost its access must not go on with frames that are none.
                await admit(request_for(self._request, None))
        except Exception as refused:  # as of a call
            error = recorded_refusal(refused, self._request, self._agent)
        else:
            recorded_refusal(error, self._request, self._agent)
        responder = JsonRpcResponder()
        # The answer to a call that is open must not seem to be this one.
        responder.id = "null" if key in self._open else key
        with self._reader.unread():
            await self._send_text(responder.wrap_error(error))
        if isinstance(error, protocol.UnauthenticatedError):
            await self._close(REFUSED)

    async def _send_text(self, text: str) -> None:
        if not self._is_closed:  # servers raise where something follows the close
            await self._reader.send_text(text)

    async def _close(self, code: int) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._send({"type": "websocket.close", "code": code})


def _parsed(text: str) -> dict[str, Any]:
    limit = conf.current().max_body_bytes
    body = text.encode()
    if len(body) > limit:
        raise BodyTooLargeError.of(limit)
    frame = parse_json(body)
    if not isinstance(frame, dict):
        raise protocol.InvalidRequestError("A frame must be one JSON object.")
    return frame


_connections: PerLoop["Counter[str]"] = PerLoop(Counter)
