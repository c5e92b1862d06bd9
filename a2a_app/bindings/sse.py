"""Server-Sent Events: how streams go out (sections 9.4.2 and 11.7)."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from django.http import StreamingHttpResponse

from a2a_app import protocol
from a2a_app.bindings.threads import hand_thread_back
from a2a_app.operations.streams import Stream, StreamItem

logger = logging.getLogger(__name__)

# A comment keeps proxies from closing the connection. It is one line, not a block of its own: after
# an id, some clients take an empty line for an event without data.
KEEPALIVE = b": keep-alive\n"

# No line ends here for Server-Sent Events, but for many a client that reads text line by line. In
# JSON they stand in strings only, where they may be written so.
LINE_ENDS = {"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"}


async def event_stream(
    stream: Stream,
    *,
    wrap: Callable[[str], str],
    wrap_error: Callable[[protocol.A2AError], str],
    error_event: str = "",
) -> StreamingHttpResponse:
    """Answer with a stream, once its first items are there.

    Args:
        stream: What an operation gives.
        wrap: Puts a StreamResponse's JSON into the binding's envelope.
        wrap_error: Makes the JSON for a failure after the beginning, when a status has gone out.
        error_event: The type of the event that tells of it, where its data does not.

    Raises:
        A2AError: The operation refused; no stream was opened.
    """
    first = await anext(stream)
    frames = _frames(first, stream, wrap, wrap_error, error_event)
    response = StreamingHttpResponse(frames, content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    # nginx would gather the events and send them all at the end.
    response["X-Accel-Buffering"] = "no"
    return response


async def _frames(
    first: list[StreamItem],
    stream: Stream,
    wrap: Callable[[str], str],
    wrap_error: Callable[[protocol.A2AError], str],
    error_event: str,
) -> AsyncIterator[bytes]:
    async with aclosing(stream):
        yield _batch(first, wrap) if first else KEEPALIVE
        del first
        await hand_thread_back()
        try:
            async for batch in stream:
                yield _batch(batch, wrap) if batch else KEEPALIVE
        except Exception:  # the status is out; an error event is all that can still be said
            logger.exception("A stream broke off.")
            failure = wrap_error(protocol.InternalError("The stream broke off."))
            kind = f"event: {error_event}\n" if error_event else ""
            yield f"{kind}data: {failure}\n\n".encode()


def _batch(items: list[StreamItem], wrap: Callable[[str], str]) -> bytes:
    return "".join(_frame(item, wrap) for item in items).encode()


def _frame(item: StreamItem, wrap: Callable[[str], str]) -> str:
    data = f"data: {_one_line(wrap(item.body))}\n\n"
    return data if item.seq is None else f"id: {item.seq}\n{data}"


def _one_line(text: str) -> str:
    if not text.isascii():
        for end, escaped in LINE_ENDS.items():
            text = text.replace(end, escaped)
    return text
