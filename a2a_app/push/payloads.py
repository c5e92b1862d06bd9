"""Payloads: the requests that a webhook gets for the events of a task (section 4.3.3)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pydantic_core import to_json

from a2a_app import conf, database
from a2a_app.files.links import Links
from a2a_app.store.deliveries import Delivery
from a2a_app.store.reads.log import events_after
from a2a_app.store.reads.tasks import read_snapshot

# How many events are read from the log at once.
READ_LIMIT = 64
MEDIA_TYPE = "application/a2a+json"


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


PayloadMaker: TypeAlias = Callable[[Delivery, int], Awaitable[NotificationBatch]]
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


async def events(delivery: Delivery, after: int) -> NotificationBatch:
    """Make a notification of each event, as streams show it; of chunks only with PUSH_CHUNKS."""
    later = await database.read(events_after, delivery.task_id, after, limit=READ_LIMIT)
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

    async def snapshot(delivery: Delivery, after: int) -> NotificationBatch:
        found = await database.read(read_snapshot, delivery.scope, str(delivery.task_id))
        task = _links(delivery).replace_in_values(found.task.to_dict())
        seq, body = found.position.seq, write(task)
        return NotificationBatch(seq, (Notification(seq, body, media_type, is_snapshot=True),))

    return snapshot


def whole_tasks(snapshot: PayloadMaker) -> PayloadMaker:
    """Return a maker of one notification with the whole task, for all events that have come.

    Chunks alone make no notification, since each would be larger than the one before.
    """

    async def tasks(delivery: Delivery, after: int) -> NotificationBatch:
        later = await database.read(events_after, delivery.task_id, after, limit=READ_LIMIT)
        if all(event.artifact_id for event in later):
            return NotificationBatch(later[-1].seq if later else after)
        return await snapshot(delivery, after)

    return tasks


def rewritten(payload: Payload, rewrite: Rewrite) -> Payload:
    """Return a format that has the notifications of another one, with other bodies."""
    return Payload(_rewritten(payload.later, rewrite), _rewritten(payload.snapshot, rewrite))


def _rewritten(make: PayloadMaker, rewrite: Rewrite) -> PayloadMaker:
    async def notifications(delivery: Delivery, after: int) -> NotificationBatch:
        batch = await make(delivery, after)
        bodies, links = await rewrite(batch.notifications), _links(delivery)
        made = [
            # What the bodies have more than before may have files too.
            replace(each, body=links.replace_in_json(body))
            for each, body in zip(batch.notifications, bodies, strict=True)
        ]
        return replace(batch, notifications=tuple(made))

    return notifications


def _links(delivery: Delivery) -> Links:
    """Return links as the client that configured the webhook would get them."""
    return Links(delivery.scope.owner, lambda: conf.current().public_url or delivery.base_url)


def _write(task: dict[str, Any]) -> str:
    return to_json({"task": task}).decode()


PAYLOADS = {"": Payload(later=events, snapshot=snapshots(_write, media_type=MEDIA_TYPE))}
"""The formats by the names in `PushNotificationConfig.payload`. Dialects add their own."""
