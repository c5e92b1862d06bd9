"""The stream of events by which a task's page follows the task: the same feed as the API's.

It says which text to append, and that something else has changed. It ends once whoever reads the
page may see the task no more.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from pydantic_core import from_json, to_json

from a2a_app import database, models, protocol
from a2a_app.access import Guard, Watch, guarded
from a2a_app.bindings.reauthentication import as_if_it_came_now
from a2a_app.bindings.sse import HEADERS, KEEPALIVE, MEDIA_TYPE
from a2a_app.bindings.threads import hand_thread_back, own_thread
from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.feed import Follower, Until
from a2a_app.models.owners import Scope, name_of_user
from a2a_app.pages.conversation import chunk_text
from a2a_app.protocol import TaskState
from a2a_app.store.events import Event
from a2a_app.store.reads.tasks import position_at

# What comes within so long is sent together: nobody reads faster.
PAUSE_SECONDS = 0.05
END = b"event: end\ndata: {}\n\n"


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever reads a task's page."""

    request: HttpRequest
    may_see: Callable[[HttpRequest], bool]
    """Tells whether a request like this one may see the task."""
    shows_texts: bool
    """Whether it may see artifacts."""


def live_response(reader: Reader, task: models.Task) -> HttpResponseBase:
    """Return the stream of what happens to a task after a number of its log.

    The number is that of the last event that the browser has heard, or else the one in the URL.
    Where the task is over there is nothing to follow, and a browser does not ask again.
    """
    if TaskState(task.state).is_terminal:
        return HttpResponse(status=204)
    said = reader.request.headers.get("Last-Event-ID") or reader.request.GET.get("after", "")
    after = int(said) if said.isascii() and said.isdigit() and len(said) < 19 else task.seq
    stream = _frames(reader, Scope(task.agent, task.owner), task.pk, min(after, task.seq))
    return StreamingHttpResponse(stream, content_type=MEDIA_TYPE, headers=HEADERS)


async def _frames(reader: Reader, scope: Scope, task_id: UUID, after: int) -> AsyncIterator[bytes]:
    yield KEEPALIVE
    await hand_thread_back()
    guard = Guard(_watches.get(), reader, time.monotonic())
    try:
        async with aclosing(guarded(_follow(reader, scope, task_id, after), guard)) as batches:
            async for events in batches:
                yield _frame(events, reader.shows_texts) if events else KEEPALIVE
                del events
    except (protocol.A2AError, database.AwayError, ValueError):
        pass  # The page asks for itself again, and learns why.
    yield END


async def _follow(
    reader: Reader, scope: Scope, task_id: UUID, after: int
) -> AsyncGenerator[Sequence[Event], None]:
    async with Follower(task_id, owner=name_of_user(reader.request.user.pk)) as follower:
        position = await database.read(position_at, scope, str(task_id), after)
        async for events in follower.follow(position, Until()):
            yield events
            del events
            await asyncio.sleep(PAUSE_SECONDS)


def _frame(events: Sequence[Event], shows_texts: bool) -> bytes:
    texts: list[tuple[int, str, str]] = []
    changed = False
    for event in events:
        if event.artifact_id and _goes_on(event):
            if shows_texts:
                texts.append((event.seq, event.artifact_id, chunk_text(event.body)))
        else:
            changed = True
    data = to_json({"texts": texts, "changed": changed})
    return b"id: %d\ndata: %s\n\n" % (events[-1].seq, data)


def _goes_on(event: Event) -> bool:
    """Tell whether a chunk goes on where another ended, and is not the last."""
    update = from_json(event.body)["artifactUpdate"]
    return bool(update.get("append")) and not update.get("lastChunk")


async def _examine(readers: Sequence[Reader]) -> list[protocol.A2AError | None]:
    """Return for each reader why it may see its task no more; None where it may."""

    def refusals() -> list[protocol.A2AError | None]:
        return [
            None
            if reader.may_see(as_if_it_came_now(reader.request))
            else protocol.PermissionDeniedError("You may see the task no more.")
            for reader in readers
        ]

    async with own_thread():
        return await sync_to_async(refusals)()


_watches = PerLoop(lambda: Watch(_examine))
