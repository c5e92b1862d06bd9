"""Files over HTTP, at the URLs of the links in parts."""

import re
from collections.abc import AsyncIterator

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import register_converter
from django.urls.converters import StringConverter
from django.utils.http import content_disposition_header

from a2a_app.bindings.callers import caller_of
from a2a_app.bindings.dialects import CURRENT
from a2a_app.bindings.rest import RestResponder
from a2a_app.bindings.threads import hand_thread_back
from a2a_app.operations.files import TENANT, TOKEN_PATTERN, OpenedFile, get_file

# Names and media types come from clients, and are checked before they become headers.
MAX_CHARACTERS = 255
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[\w.+-]+=(\"?)[\w.+-]+\2)*", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]")


class LinkConverter(StringConverter):
    """The last segment of a link, which is different from every slug of an agent."""

    regex = TOKEN_PATTERN


register_converter(LinkConverter, "a2a_link")


class OpenedFileResponse(StreamingHttpResponse):
    """A response that sends a file in chunks, for a browser to save and not to show."""

    def __init__(self, request: HttpRequest, opened: OpenedFile) -> None:
        self._opened = opened
        # Under WSGI, Django would read the whole of what is asynchronous before it sends anything.
        by_wsgi = isinstance(request, WSGIRequest)
        chunks = opened.chunks_here() if by_wsgi else _chunks(opened)
        super().__init__(chunks, headers=_headers(opened))

    def close(self) -> None:
        """Close the file, even if nobody has read it."""
        self._opened.close()
        super().close()


async def serve_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Return the file of a link, if the caller is its owner."""
    return await RestResponder(request, CURRENT).answer(_serve(request, token), request)


async def _serve(request: HttpRequest, token: str) -> HttpResponseBase:
    tenant = request.GET.get(TENANT, "")
    opened = await get_file(await caller_of(request), token, tenant)
    response = OpenedFileResponse(request, opened)
    if request.method != "HEAD":
        return response
    response.close()
    return HttpResponse(headers=response.headers)


def _headers(opened: OpenedFile) -> dict[str, str]:
    """Return the headers that make it safe to send a file that came from a client."""
    filename = _UNSAFE.sub("_", opened.filename[-MAX_CHARACTERS:])
    media_type = opened.media_type[:MAX_CHARACTERS]
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = "application/octet-stream"
    return {
        "Content-Type": media_type,
        "Content-Length": str(opened.size),
        "Content-Disposition": content_disposition_header(True, filename) or "attachment",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
        # Other than a stream of events, a file may wait in the proxy while a slow client reads it.
        "X-Accel-Buffering": "yes",
    }


async def _chunks(opened: OpenedFile) -> AsyncIterator[bytes]:
    await hand_thread_back()
    async for chunk in opened.chunks():
        yield chunk
