"""What a task's page leads to: events of the log as JSON, and parts of messages and artifacts."""

from base64 import b64decode
from io import BytesIO
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from pydantic_core import from_json, to_json

from a2a_app import models
from a2a_app.bindings.files import OpenedFileResponse
from a2a_app.files.rows import OpenedFile
from a2a_app.store.events import LargeReadError
from a2a_app.store.reads.log import events_after

# How many events, and how many bytes of them, an answer has.
EVENTS = 200
EVENT_BYTES = 1024 * 1024
MODELS: dict[str, type[models.Message] | type[models.Artifact]] = {
    "message": models.Message,
    "artifact": models.Artifact,
}
# What a browser shows is no page, whatever somebody has written into it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


def events_response(task: models.Task, first: int, last: int) -> HttpResponse:
    """Return events of a task's log, as clients get them, with the number where more begin."""
    limit = max(0, min(EVENTS, last - first + 1))
    try:
        events = events_after(task.pk, first - 1, limit=limit, most=EVENT_BYTES)
    except LargeReadError:
        events = events_after(task.pk, first - 1, limit=1)
    shown: dict[str, Any] = {
        "events": [
            {"number": event.seq, "turn": event.turn, "event": from_json(event.body)}
            for event in events
        ]
    }
    if events and events[-1].seq < min(last, task.seq):
        shown["more_from"] = events[-1].seq + 1
    return _shown(to_json(shown, indent=2), "application/json")


def part_response(
    request: HttpRequest, holder: models.Task | models.Context, kind: str, key: UUID, index: int
) -> HttpResponseBase:
    """Return all of a part: text and data to be read, and bytes as a file to be saved.

    Args:
        request: The request.
        holder: The task of the part's message or artifact; the conversation of a message without.
        kind: message or artifact.
        key: The primary key of that.
        index: The place of the part in it.

    Raises:
        Http404: There is no such part.
    """
    if kind not in MODELS:
        raise Http404("There are parts of messages and of artifacts only.")
    is_task = isinstance(holder, models.Task)
    held = {"task": holder.pk} if is_task else {"context": holder.pk, "task": None}
    row: Any = get_object_or_404(MODELS[kind], pk=key, **held)
    if index >= len(row.parts):
        raise Http404("There is no such part.")
    part = row.parts[index]
    if "text" in part:
        return _shown(str(part["text"]).encode(), "text/plain; charset=utf-8")
    if "raw" not in part:
        return _shown(to_json(part.get("data"), indent=2), "application/json")
    content = b64decode(part["raw"])
    name, media_type = str(part.get("filename", "")), str(part.get("mediaType", ""))
    opened = OpenedFile(name, media_type, len(content), BytesIO(content), holder.agent)
    return OpenedFileResponse(request, opened)


def _shown(content: bytes, media_type: str) -> HttpResponse:
    return HttpResponse(content, content_type=media_type, headers=HEADERS)
