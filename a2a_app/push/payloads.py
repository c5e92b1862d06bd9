"""Payloads: the requests that a webhook gets for the events of a task (section 4.3.3)."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from pydantic_core import to_json

from a2a_app import conf, database
from a2a_app.concurrency.budget import Reservation, reserve
from a2a_app.files.links import Links
from a2a_app.store.deliveries import Delivery
from a2a_app.store.events import LargeReadError
from a2a_app.store.reads.log import artifacts_after, events_after
from a2a_app.store.reads.tasks import read_snapshot

T = TypeVar("T")

# How many events are read from the log at once.
READ_LIMIT = 64
# For how long a delivery, which has a lease, waits for room in memory.
ROOM_SECONDS = 5.0
MEDIA_TYPE = "application/a2a+json"


class NoMemoryError(Exception):
    """What is to be sent is large, and others have the room in memory that there is for such."""

    def __init__(self) -> None:
        super().__init__("There is no room in memory for it: it is large, and so are others.")


@dataclass(frozen=True, slots=True)
class Notification:
    """One request to a webhook, and the number of the last event that it delivers."""

    seq: int
    body: str
    media_type: str = MEDIA_TYPE
    is_snapshot: bool = False
    """Whether it is the task as it is, which comes before all events."""


@dataclass(frozen=True, slots=True)
class NotificationBatch:
    """The next notifications, and the number of the last event that they deliver together."""

    seq: int
    notifications: tuple[Notification, ...] = ()


Rooms: TypeAlias = list[Reservation]
"""The room in memory of what is to be sent, where that is large."""
PayloadMaker: TypeAlias = Callable[[Delivery, int, Rooms], Awaitable[NotificationBatch]]
"""Makes the notifications after a number. Without later events the batch has that number."""


Rewrite: TypeAlias = Callable[[Sequence[Notification]], Awaitable[list[str]]]
"""Returns other bodies for notifications, in their order."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One format of notifications."""

    later: PayloadMaker
    """Makes those of events."""
    snapshot: PayloadMaker
    """Makes the one of the task as it is, whatever has come since."""


@contextmanager
def rooms() -> Iterator[Rooms]:
    """Yield where the room of notifications goes, and release it once they are sent."""
    held: Rooms = []
    try:
        yield held
    finally:
        for room in held:
            room.release()


async def events(delivery: Delivery, after: int, held: Rooms) -> NotificationBatch:
    """Make a notification of each event, as streams show it; of chunks only with PUSH_CHUNKS."""
    read = partial(events_after, delivery.task_id, after)
    many, one = partial(read, limit=READ_LIMIT), partial(read, limit=1)
    later = await _read(delivery, held, many, large=one)
    chunks, links = conf.current().push_chunks, _links(delivery)
    wanted = [event for event in later if chunks or not event.artifact_id]
    return NotificationBatch(
        seq=later[-1].seq if later else after,
        notifications=tuple(
            Notification(event.seq, links.replace_in_json(event.body)) for event in wanted
        ),
    )


def snapshots(write: Callable[[dict[str, Any]], str], *, media_type: str) -> PayloadMaker:
    """Return a maker of one notification with the whole task.

    Args:
        write: Makes the body from the JSON values of a task.
        media_type: The media type of the body.
    """

    async def snapshot(delivery: Delivery, after: int, held: Rooms) -> NotificationBatch:
        read = partial(read_snapshot, delivery.scope, str(delivery.task_id))
        found = await _read(delivery, held, read, large=read)
        task = _links(delivery).replace_in_values(found.task.to_dict())
        seq, body = found.position.seq, write(task)
        return NotificationBatch(seq, (Notification(seq, body, media_type, is_snapshot=True),))

    return snapshot


def whole_tasks(snapshot: PayloadMaker) -> PayloadMaker:
    """Return a maker of one notification with the whole task, for all events that have come.

    Chunks alone make no notification, since each would be larger than the one before.
    """

    async def tasks(delivery: Delivery, after: int, held: Rooms) -> NotificationBatch:
        later = await database.read(artifacts_after, delivery.task_id, after, limit=READ_LIMIT)
        if all(artifact_id for _, artifact_id in later):
            return NotificationBatch(later[-1][0] if later else after)
        return await snapshot(delivery, after, held)

    return tasks


def rewritten(payload: Payload, rewrite: Rewrite) -> Payload:
    """Return a format that has the notifications of another one, with other bodies."""
    return Payload(_rewritten(payload.later, rewrite), _rewritten(payload.snapshot, rewrite))


def _rewritten(make: PayloadMaker, rewrite: Rewrite) -> PayloadMaker:
    async def notifications(delivery: Delivery, after: int, held: Rooms) -> NotificationBatch:
        batch = await make(delivery, after, held)
        bodies, links = await rewrite(batch.notifications), _links(delivery)
        made = [
            # What the bodies have more than before may have files too.
            replace(each, body=links.replace_in_json(body))
            for each, body in zip(batch.notifications, bodies, strict=True)
        ]
        return replace(batch, notifications=tuple(made))

    return notifications


async def _read(
    delivery: Delivery, held: Rooms, read: Callable[..., T], *, large: Callable[[], T]
) -> T:
    """Read what is to be sent.

    Args:
        delivery: The webhook.
        held: Where the room of what is large goes.
        read: Takes `most`, and raises LargeReadError where it would read more.
        large: Reads what is large.

    Raises:
        NoMemoryError: It is large, and there is no room for it.
    """
    try:
        return await database.read(read, most=conf.current().stream_bytes)
    except LargeReadError as error:
        room = reserve(delivery.scope.owner, error.size)
    held.append(room)
    if not await room.wait(ROOM_SECONDS):
        raise NoMemoryError
    return await database.read(large)


def _links(delivery: Delivery) -> Links:
    """Return links as the client that configured the webhook would get them."""
    return Links(delivery.scope.owner, lambda: conf.current().public_url or delivery.base_url)


def _write(task: dict[str, Any]) -> str:
    return to_json({"task": task}).decode()


PAYLOADS = {"": Payload(later=events, snapshot=snapshots(_write, media_type=MEDIA_TYPE))}
"""The formats by the names in `PushNotificationConfig.payload`. Dialects add their own."""
