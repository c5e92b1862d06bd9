"""Readers: clients to which a long response is sent no faster than they take it.

uvicorn waits in `send` until its client has taken what was sent before. daphne does not wait. But
Twisted tells a producer when the buffer of its connection is full, and when it is empty again, and
daphne's `send` is bound to the request with which a producer is registered.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from a2a_app import conf

logger = logging.getLogger(__name__)

Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

_warned = False


class Reader:
    """The client that reads one response of more than one piece.

    It is a producer, in Twisted's words (`IPushProducer`).
    """

    def __init__(self, send: Send, servers_send: Send, client: object) -> None:
        """Make the reader of a response.

        Args:
            send: Sends a piece.
            servers_send: The `send` that the server has made, by which its connection is found.
            client: The client's address, for the log.
        """
        self._send = send
        self._servers_send = servers_send
        self._client = client
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_cut = False
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
            self._cut_off()

    def pauseProducing(self) -> None:  # Twisted's name
        """Wait, because the connection's buffer is full."""
        self._writable.clear()

    def resumeProducing(self) -> None:  # Twisted's name
        """Go on, because the buffer is empty."""
        self._writable.set()

    def stopProducing(self) -> None:  # Twisted's name
        """Go on, because the connection is gone, and `send` does nothing any more."""
        self._writable.set()

    def _unregister(self) -> None:
        if _channel_of(self._request) is not None:
            self._request.unregisterProducer()

    def _cut_off(self) -> None:
        self._is_cut = True
        seconds = conf.current().reader_seconds
        logger.warning("Cut off %s, which took nothing for %g seconds.", self._client, seconds)
        abort = _abort_of(self._servers_send, self._request)
        if abort is None:
            raise ConnectionAbortedError("The client does not read.")
        abort()


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
