"""Payloads: what a webhook gets of a task's log (section 4.3.3)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from a2a_app import conf, database
from a2a_app.files.links import Links
from a2a_app.store.reads.tasks import events_after, read_snapshot
from a2a_app.store.webhooks import Delivery

# Events read from the log at once.
READ_LIMIT = 64
MEDIA_TYPE = "application/a2a+json"


@dataclass(frozen=True, slots=True)
class Notification:
    """One request to a webhook, and the number it brings the webhook to."""

    seq: int
    body: str
    media_type: str = MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class Batch:
    """The next notifications, and the number they reach once all are delivered."""

    seq: int
    notifications: tuple[Notification, ...] = ()


Payload: TypeAlias = Callable[[Delivery, int], Awaitable[Batch]]
"""Gives what comes after a number; a batch that reaches no further says that nothing does."""


async def events(delivery: Delivery, after: int) -> Batch:
    """Send each event as streams show it; without chunks where PUSH_CHUNKS is off."""
    found = await database.run(events_after, delivery.task_id, after, limit=READ_LIMIT)
    chunks, links = conf.current().push_chunks, _links(delivery)
    wanted = [event for event in found if chunks or not event.artifact_id]
    return Batch(
        seq=found[-1].seq if found else after,
        notifications=tuple(
            Notification(event.seq, links.replace_in_json(event.body)) for event in wanted
        ),
    )


def whole_tasks(write: Callable[[dict[str, Any]], str], *, media_type: str) -> Payload:
    """Make the payload that is the task as it then is, once for all that has come meanwhile.

    Chunks alone are no reason to send it: it would grow with each.

    Args:
        write: Makes the body of a task's JSON values.
        media_type: The body's.
    """

    async def tasks(delivery: Delivery, after: int) -> Batch:
        found = await database.run(events_after, delivery.task_id, after, limit=READ_LIMIT)
        if all(event.artifact_id for event in found):
            return Batch(found[-1].seq if found else after)
        snapshot = await database.run(read_snapshot, delivery.scope, str(delivery.task_id))
        task = _links(delivery).replace_in_values(snapshot.task.to_dict())
        seq, body = snapshot.position.seq, write(task)
        return Batch(seq, (Notification(seq, body, media_type),))

    return tasks


def _links(delivery: Delivery) -> Links:
    """Make links as the client that asked for the notifications would get them."""
    return Links(delivery.scope.owner, lambda: conf.current().public_url or delivery.base_url)


PAYLOADS: dict[str, Payload] = {"": events}
"""By the name that a configuration keeps. A binding of another version adds its own."""
