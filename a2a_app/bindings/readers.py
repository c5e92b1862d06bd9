"""Readers: clients to which a long response is sent no faster than they take it.

uvicorn waits in `send` until its client has taken what was sent before. daphne does not wait. But
Twisted tells a producer when the buffer of its connection is full, and when it is empty again, and
daphne's `send` is bound to the request with which a producer is registered.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from a2a_app import conf

logger = logging.getLogger(__name__)

Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

_warned = False


class _Producer:
    """What sends to one client: a producer, in Twisted's words (`IPushProducer`)."""

    def __init__(self, client: object) -> None:
        self._client = client
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_cut = False

    def pauseProducing(self) -> None:  # Twisted's name
        """Wait, because the connection's buffer is full."""
        self._writable.clear()

    def resumeProducing(self) -> None:  # Twisted's name
        """Go on, because the buffer is empty."""
        self._writable.set()

    def stopProducing(self) -> None:  # Twisted's name
        """Go on, because the connection is gone, and `send` does nothing any more."""
        self._writable.set()

    def _cut_off(self, abort: Callable[[], None] | None) -> None:
        """Cut the client off, by what closes its connection; None: the server does, by an error."""
        if self._is_cut:
            return
        self._is_cut = True
        seconds = conf.current().reader_seconds
        logger.warning("Cut off %s, which took nothing for %g seconds.", self._client, seconds)
        if abort is None:
            raise ConnectionAbortedError("The client does not read.")
        abort()


class Reader(_Producer):
    """The client that reads one response of more than one piece."""

    def __init__(self, send: Send, servers_send: Send, client: object) -> None:
        """Make the reader of a response.

        Args:
            send: Sends a piece.
            servers_send: The `send` that the server has made, by which its connection is found.
            client: The client's address, for the log.
        """
        super().__init__(client)
        self._send = send
        self._servers_send = servers_send
        self._request = _twisted_request(servers_send)
        if self._request is not None:
            self._request.registerProducer(self, True)

    async def send(self, message: dict[str, Any]) -> None:
        """Send a piece once the client has taken those before it.

        A client that takes nothing for READER_SECONDS is cut off, and so gets no further piece.
        """
        if self._is_cut:
            return
        if message.get("more_body") and self._request is not None and self._writable.is_set():
            # daphne takes it at once, and a time limit costs a tenth of a piece.
            await self._send(message)
            return
        try:
            async with asyncio.timeout(conf.current().reader_seconds):
                await self._writable.wait()
                if not message.get("more_body"):
                    self._unregister()
                await self._send(message)
        except TimeoutError:
            self._cut_off(_abort_of(self._servers_send, self._request))

    def _unregister(self) -> None:
        if _channel_of(self._request) is not None:
            self._request.unregisterProducer()


class SocketReader(_Producer):
    """The client that reads what is sent over one WebSocket.

    daphne does not wait there either. It is a producer of the connection, in place of HTTP's.
    """

    def __init__(self, servers_send: Send, client: object) -> None:
        """Make the reader of a connection.

        Args:
            servers_send: The `send` that the server has made, by which its connection is found.
            client: The client's address, for the log.
        """
        super().__init__(client)
        self._send = servers_send
        bound = getattr(servers_send, "args", ())
        self._protocol: Any = bound[0] if bound else None
        self._transport: Any = getattr(self._protocol, "transport", None)
        if self._transport is not None and hasattr(self._transport, "registerProducer"):
            # In place of the channel of HTTP, which has nothing more to send.
            self._transport.unregisterProducer()
            self._transport.registerProducer(self, True)

    async def send_text(self, text: str) -> None:
        """Send a frame of text once the client has taken those before it.

        A client that takes nothing for READER_SECONDS is cut off, and so gets no further frame.
        """
        if self._is_cut:
            return
        try:
            async with asyncio.timeout(conf.current().reader_seconds):
                await self._writable.wait()
                with self._unlimited():
                    await self._send({"type": "websocket.send", "text": text})
                # Whoever has made room in memory for a large frame has to know that it is sent.
                await self._writable.wait()
        except TimeoutError:
            abort = getattr(self._transport, "abortConnection", None)
            self._cut_off(abort or _abort_of(self._send, None))
        except OSError:  # as ASGI has it once the client is gone
            self._is_cut = True

    @contextmanager
    def unread(self) -> Iterator[None]:
        """Have daphne take nothing from the client inside the `with`, as other servers do.

        Otherwise it has a queue without an end for the frames of who sends and does not read.
        """
        is_twisted = self._transport is not None and hasattr(self._transport, "pauseProducing")
        if is_twisted:
            self._transport.pauseProducing()
        try:
            yield
        finally:
            if is_twisted:
                self._transport.resumeProducing()

    @contextmanager
    def _unlimited(self) -> Iterator[None]:
        """Have daphne send what it would take for too large from a client.

        It has one limit for both, of 1 MB. Nothing is received meanwhile, since it does not wait.
        """
        limit = getattr(self._protocol, "maxMessagePayloadSize", None)
        if limit is None:
            yield
            return
        self._protocol.maxMessagePayloadSize = 0
        try:
            yield
        finally:
            self._protocol.maxMessagePayloadSize = limit


def _twisted_request(send: Any) -> Any:
    """Return the request of daphne's that a `send` is bound to; None on another server.

    This is the only place that reads what daphne does not document.
    """
    bound = getattr(send, "args", ())
    request = bound[0] if bound else None
    if "daphne.server" in sys.modules and not hasattr(request, "registerProducer"):
        _warn_once()
    return request if _channel_of(request) is not None else None


def _channel_of(request: Any) -> Any:
    """Return the connection, or the stream of HTTP/2, of a request; None once that is gone."""
    return getattr(request, "channel", None)


def _warn_once() -> None:
    global _warned
    if not _warned:
        _warned = True
        logger.warning(
            "Cannot see how much of a response daphne has sent, since something wraps the "
            "send of the ASGI application: a client that does not read may take any memory."
        )


def _abort_of(send: Any, request: Any) -> Callable[[], None] | None:
    """Return what closes the connection at once, without waiting until all is sent.

    None on a server that closes it when the application raises.
    """
    channel = _channel_of(request)
    for closable in (
        channel,  # HTTP/2 on daphne: one stream of a connection
        getattr(channel, "transport", None),  # daphne
        getattr(getattr(send, "__self__", None), "transport", None),  # uvicorn
    ):
        for name in ("abortConnection", "abort"):
            if hasattr(closable, name):
                return getattr(closable, name)  # type: ignore[no-any-return]  # of two libraries
    return None
