"""One call over a WebSocket, from its frame to the last one that answers it."""

import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Protocol

from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from a2a_app import logs, protocol, telemetry
from a2a_app.agents import Agent
from a2a_app.bindings.calls import admit, call_of
from a2a_app.bindings.interfaces import WEBSOCKET
from a2a_app.bindings.jsonrpc import JsonRpcResponder, open_envelope
from a2a_app.bindings.responders import performed, recorded_refusal, result_of, stream_of
from a2a_app.bindings.sse import failure_of
from a2a_app.bindings.threads import hand_thread_back, own_thread
from a2a_app.bindings.websocket.handshake import request_for
from a2a_app.concurrency.budget import release_all
from a2a_app.operations import Call, Operation
from a2a_app.operations.streams import Stream


class Sender(Protocol):
    """What sends a frame once the client has taken those before it."""

    async def __call__(self, text: str) -> None:
        """Send a frame of text."""


class Exchange:
    """One call."""

    def __init__(
        self,
        handshake: HttpRequest,
        agent: Agent,
        frame: Any,
        send: Sender,
        close: Callable[[], object],
    ) -> None:
        """Make an exchange over a connection.

        Args:
            handshake: The request that has opened the connection.
            agent: The agent of its URL.
            frame: The call's.
            send: Sends a frame.
            close: Called before the last frame is sent.
        """
        self._request = handshake
        self._frame = frame
        self._agent = agent
        self._send = send
        self._close = close
        self._responder = JsonRpcResponder()
        self._is_open = False
        self._activated = ""
        self.is_anonymous = False
        """Whether the call was let in without a known caller: it may be refused what others get."""

    async def perform(self, request_id: str) -> protocol.A2AError | None:
        """Perform the call in the frame, and answer it.

        Args:
            request_id: Its id, as JSON.

        Returns:
            Why it was refused; None if it was not.
        """
        logs.subject.set(logs.Subject(agent=self._agent.slug))
        self._responder.id = request_id
        try:
            async with own_thread():
                stream = await self._begun()
                if stream is not None:
                    self._is_open = True
                    await self._send_all(self._responder.dialect.stream(stream))
        except ConnectionAbortedError:  # nothing reaches it any more
            raise
        except Exception as error:  # the client must get no details of a fault
            refusal = self._refusal_of(error)
            written = self._responder.dialect.error(refusal)
            await self._send_last(self._responder.wrap_error(written))
            return refusal
        return None

    def _refusal_of(self, error: Exception) -> protocol.A2AError:
        if self._is_open:
            return failure_of(error)
        return recorded_refusal(error, self._request, self._agent)

    async def _begun(self) -> Stream | None:
        """Read the call and perform its operation; return the stream if there is one, to be sent.

        A function of its own, as a stream lasts, and what the client has said may be large (R14).
        """
        operation, call, params = await self._read()
        return await performed(self._answer, WEBSOCKET, operation, call, params)

    @sensitive_variables("frame", "params", "given")
    async def _read(self) -> tuple[Operation, Call, protocol.Params]:
        """Read the frame, and check it.

        A function of its own, so that the JSON is not held in memory while the operation waits.
        """
        frame, self._frame = self._frame, None
        self._request = request_for(self._request, frame)
        method, params = open_envelope(self._request, frame, self._responder)
        # Who it is, is asked for each call, as it is for each request of HTTP.
        caller = await admit(self._request)
        self.is_anonymous = caller.is_anonymous
        given = method.dialect.params(params)
        call = await call_of(self._request, self._agent, caller, method.dialect, given)
        return method.operation, call, await method.operation.checked_params(call, given)

    async def _answer(
        self, operation: Operation, call: Call, params: protocol.Params
    ) -> Stream | None:
        """Open the stream of an operation and return it; or send the result, and return None."""
        if call.extensions:
            self._activated = f',"extensions":{json.dumps(call.extensions)}'
        if operation.streaming is not None:
            return await stream_of(operation, call, params)
        try:
            body = await result_of(operation, call, params)
            result = self._responder.dialect.result(body)
            await self._send_last(self._framed(f'"result":{result}'))
        finally:
            release_all(call.held)
        return None

    async def _send_all(self, stream: Stream) -> None:
        with telemetry.open_stream():
            async with aclosing(stream):
                async for items in stream:
                    for item in items:
                        number = "" if item.seq is None else f'"eventId":"{item.seq}",'
                        await self._send(self._framed(f'{number}"result":{item.body}'))
                    del items
                    await hand_thread_back()
            await self._send_last(end_of(self._responder.id))

    async def _send_last(self, text: str) -> None:
        self._close()
        await self._send(text)

    def _framed(self, members: str) -> str:
        activated, self._activated = self._activated, ""
        return f'{{"jsonrpc":"2.0","id":{self._responder.id},{members}{activated}}}'


def end_of(request_id: str) -> str:
    """Return the frame that ends a call without a result: a stream that is over, or was given up.

    Args:
        request_id: The id of the call, as JSON.
    """
    return f'{{"jsonrpc":"2.0","id":{request_id},"streamEnd":true}}'
