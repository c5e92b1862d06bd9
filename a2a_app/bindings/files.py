"""Files over HTTP: what the links in parts lead to."""

import re
from collections.abc import AsyncIterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import register_converter
from django.urls.converters import StringConverter
from django.utils.http import content_disposition_header

from a2a_app.bindings.callers import caller_of
from a2a_app.bindings.dialects import CURRENT
from a2a_app.bindings.rest import RestResponder
from a2a_app.bindings.threads import hand_thread_back
from a2a_app.operations.files import TENANT, TOKEN, OpenedFile, get_file

# What a header may be made of, as it comes from a client.
MOST_CHARACTERS = 255
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[\w.+-]+=(\"?)[\w.+-]+\2)*", re.ASCII)
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]")


class LinkConverter(StringConverter):
    """What stands at the end of a link; no agent's URL looks like it."""

    regex = TOKEN


register_converter(LinkConverter, "a2a_link")


class FileAnswer(StreamingHttpResponse):
    """A file, a chunk at a time, to be saved and not to be shown."""

    def __init__(self, opened: OpenedFile) -> None:
        self._opened = opened
        super().__init__(_chunks(opened), headers=_headers(opened))

    def close(self) -> None:
        """Let go of the file, also where nobody has read it."""
        self._opened.close()
        super().close()


async def serve_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """Answer with the file that a link leads to, if the caller is its owner."""
    return await RestResponder(request, CURRENT).answer(_serve(request, token))


async def _serve(request: HttpRequest, token: str) -> HttpResponseBase:
    tenant = request.GET.get(TENANT, "")
    answer = FileAnswer(await get_file(await caller_of(request), token, tenant))
    if request.method != "HEAD":
        return answer
    answer.close()
    return HttpResponse(headers=answer.headers)


def _headers(opened: OpenedFile) -> dict[str, str]:
    """Give the headers under which anybody's file is safe to send: it comes from a client."""
    filename = _UNFIT.sub("_", opened.filename[-MOST_CHARACTERS:])
    media_type = opened.media_type[:MOST_CHARACTERS]
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = "application/octet-stream"
    return {
        "Content-Type": media_type,
        "Content-Length": str(opened.size),
        "Content-Disposition": content_disposition_header(True, filename) or "attachment",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
        # Unlike a stream of events: what a slow client has not taken yet the proxy keeps, not we.
        "X-Accel-Buffering": "yes",
    }


async def _chunks(opened: OpenedFile) -> AsyncIterator[bytes]:
    await hand_thread_back()
    async for chunk in opened.chunks():
        yield chunk
