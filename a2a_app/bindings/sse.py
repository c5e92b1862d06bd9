"""Streams as Server-Sent Events (sections 9.4.2 and 11.7)."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from django.http import HttpResponse, StreamingHttpResponse

from a2a_app import database, logs, protocol, telemetry
from a2a_app.bindings.threads import hand_thread_back
from a2a_app.operations.streams import Stream, StreamItem

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    # Without it nginx would collect the events and send them all at the end.
    "X-Accel-Buffering": "no",
}

# A comment keeps proxies from closing the connection. No empty line follows it, because after an id
# some clients take an empty line for an event without data.
KEEPALIVE = b": keep-alive\n"

# Django holds a part of a response until it gets the next one, which may be hours later. So after a
# part of more bytes an empty one follows.
LARGE_PART = 64 * 1024

# These do not end a line of Server-Sent Events, but many clients that read text line by line think
# so. In JSON they occur in strings only, where they can be escaped.
LINE_ENDS = {"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"}


def event_stream(
    stream: Stream,
    *,
    wrap: Callable[[str], str],
    wrap_error: Callable[[protocol.A2AError], str],
    error_event: str = "",
) -> StreamingHttpResponse:
    """Return a response that sends a stream.

    Args:
        stream: The stream of an operation.
        wrap: Puts a StreamResponse's JSON into the binding's envelope.
        wrap_error: Returns the JSON of a failure in the middle of the stream, when the status has
            been sent.
        error_event: The type of the event that reports such a failure; empty if its data says so.
    """
    frames = _frames(stream, wrap, wrap_error, error_event, logs.subject.get())
    return StreamingHttpResponse(frames, content_type=MEDIA_TYPE, headers=HEADERS)


def single_event(data: str) -> HttpResponse:
    """Return a response that is a stream of one event, which is there already."""
    content = f"data: {_one_line(data)}\n\n".encode()
    return HttpResponse(content, content_type=MEDIA_TYPE, headers=HEADERS)


async def _frames(
    stream: Stream,
    wrap: Callable[[str], str],
    wrap_error: Callable[[protocol.A2AError], str],
    error_event: str,
    subject: logs.Subject,
) -> AsyncIterator[bytes]:
    async with aclosing(stream):
        with telemetry.open_stream():
            try:
                is_first = True
                async for items in stream:
                    part = _batch(items, wrap)
                    is_large = len(part) > LARGE_PART
                    yield part
                    del items, part
                    if is_large:
                        yield b""
                    if is_first:
                        await hand_thread_back()
                        is_first = False
            except Exception as error:  # the status has been sent: only an event can report it
                # Only here: what is set in a generator is set outside it too.
                outside = logs.subject.get()
                logs.subject.set(subject)
                failure = wrap_error(failure_of(error))
                logs.subject.set(outside)
                event_type = f"event: {error_event}\n" if error_event else ""
                yield f"{event_type}data: {failure}\n\n".encode()


def failure_of(error: Exception) -> protocol.A2AError:
    """Return what the client of a stream is told of a failure; log one that is a fault."""
    if isinstance(error, protocol.A2AError):
        return error
    if database.note_away(error):
        return protocol.UnavailableError("The stream broke off. Subscribe to the task again.")
    logger.error("A stream broke off.", exc_info=error)
    return protocol.InternalError("The stream broke off.")


def _batch(items: list[StreamItem], wrap: Callable[[str], str]) -> bytes:
    if not items:
        return KEEPALIVE
    return "".join(_frame(item, wrap) for item in items).encode()


def _frame(item: StreamItem, wrap: Callable[[str], str]) -> str:
    data = f"data: {_one_line(wrap(item.body))}\n\n"
    return data if item.seq is None else f"id: {item.seq}\n{data}"


def _one_line(text: str) -> str:
    if not text.isascii():
        for line_end, escaped in LINE_ENDS.items():
            text = text.replace(line_end, escaped)
    return text
