"""Deliveries: which worker sends to which webhook, so that no owner keeps another's waiting.

What is due is found by one of two indexes. The oldest comes first while every owner may have more
under way. Otherwise owners are gone through in turn, each by one look at the index, however much it
has that waits.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from a2a_app import models
from a2a_app.concurrency.shares import Shares
from a2a_app.database.values import EPOCH, escape_unstorable, from_now
from a2a_app.models.owners import Scope, half_of, last_queue_beside

Row = models.PushNotificationConfig

# The most deliveries under way to one host, so that a slow host leaves room for the others.
HOST_LIMIT = 10
# How many queues one search looks at. The next search goes on where it has stopped.
LOOKS = 32
WELL: dict[str, Any] = {"failures": 0, "failing_since": None, "error": "", "dead_at": None}

# What of a configuration changes whenever it is delivered to or replaced.
_SEEN = ("worker", "delivered", "failures", "url", "secrets")
_LAST_QUEUE = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """A configuration to which one worker may now deliver, and the number it delivers from."""

    id: UUID
    worker: str
    task_id: UUID
    scope: Scope
    url: str = field(repr=False)
    host: str
    queue: int
    scheme: str
    secrets: str = field(repr=False)
    """The token and the credentials, sealed."""
    payload: str
    base_url: str
    begins_with_task: bool
    """Whether the task as it is comes first, and has not been delivered yet."""
    delivered: int
    failures: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a search has claimed, and after which queue the next one begins."""

    deliveries: list[Delivery]
    after: int
    has_more_to_see: bool = False
    """Whether the search has stopped before it had looked everywhere."""


class Room:
    """The deliveries that are under way, and for whom there is room besides them."""

    def __init__(self, owners: Shares[int], hosts: Counter[str] | None = None) -> None:
        """Make the room of a process from the shares of owners, by their halves of queues."""
        self._owners = owners
        self._hosts: Counter[str] = Counter() if hosts is None else hosts

    @property
    def is_contended(self) -> bool:
        """Whether some owner has its whole share."""
        return self._owners.is_contended

    def resize(self, places: int) -> int:
        """Set how many deliveries there may be; return how many more than now."""
        self._owners.places = places
        return self._owners.free

    def is_for_owner(self, queue: int) -> bool:
        """Tell whether there is room for the owner of a queue."""
        return self._owners.has_room(half_of(queue))

    def is_for(self, queue: int, host: str) -> bool:
        """Tell whether there is room for a host and for its queue's owner."""
        return self._hosts[host] < HOST_LIMIT and self.is_for_owner(queue)

    def take(self, queue: int, host: str) -> None:
        """Count a delivery that begins."""
        self._owners.take(half_of(queue))
        self._hosts[host] += 1

    def give_back(self, queue: int, host: str) -> None:
        """Count a delivery that has ended."""
        self._owners.give_back(half_of(queue))
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    def copy(self) -> "Room":
        """Return an independent copy, for a search."""
        return Room(self._owners.copy(), self._hosts.copy())


def claim_due(
    worker: str,
    *,
    limit: int,
    lease: timedelta,
    room: Room,
    after: int,
    under_way: Collection[UUID] = (),
) -> Claimed:
    """Claim configurations that have events to deliver.

    Args:
        worker: The worker that delivers. Another one may, once the lease is over.
        limit: How many at most.
        lease: For how long they are the worker's.
        room: For whom there is room. What is claimed is counted in it.
        after: The queue after which a search in turn begins.
        under_way: The configurations to which the worker delivers now. One of them may be due once
            more, because its client has replaced it. Then what the worker sends to the old one must
            end first, since the row tells workers apart, and not the deliveries of one.
    """
    claims = _Claims(worker, lease, room, under_way)
    if not room.is_contended and claims.take_oldest(limit):
        return Claimed(claims.taken, after)
    return claims.take_in_turn(limit, after)


class _Claims:
    """One search for what is due."""

    def __init__(
        self, worker: str, lease: timedelta, room: Room, under_way: Collection[UUID]
    ) -> None:
        self._worker, self._lease, self._room = worker, lease, room
        self._under_way = under_way
        self.taken: list[Delivery] = []

    def take_oldest(self, limit: int) -> bool:
        """Claim what has been due for the longest; return False if there was no room for some."""
        has_room = True
        due = Row.objects.filter(due_at__lte=Now())
        for row in due.select_related("task").order_by("due_at")[:limit]:
            if self._room.is_for(row.queue, row.host):
                self._claim(row)
            else:
                has_room = False
        return has_room

    def take_in_turn(self, limit: int, after: int) -> Claimed:
        """Claim one delivery of each owner that there is room for, in the order of their queues.

        Args:
            limit: How many there may be, with those that are claimed already.
            after: The queue after which to begin. It is also the last one to be looked at.
        """
        place, last = after, _LAST_QUEUE
        for _ in range(LOOKS):
            row = _first_waiting(place, last)
            if row is not None:
                place = self._pass(row)
            elif last == after:
                return Claimed(self.taken, place)
            else:
                place, last = -1, after
            if len(self.taken) >= limit:
                return Claimed(self.taken, place)
        return Claimed(self.taken, place, has_more_to_see=True)

    def _pass(self, row: Any) -> int:
        """Claim the first row of a queue if it is due, and return after which queue to go on."""
        if not self._room.is_for_owner(row.queue):
            return last_queue_beside(row.queue)
        if row.is_due and self._room.is_for(row.queue, row.host) and self._claim(row):
            return last_queue_beside(row.queue)
        return int(row.queue)

    @sensitive_variables("seen")
    def _claim(self, row: models.PushNotificationConfig) -> bool:
        if row.pk in self._under_way:
            return False
        # Of two workers that found it, the second no longer finds it due, or as it was: the first
        # may have delivered since, or its client replaced it, and something else made it due.
        seen = {name: getattr(row, name) for name in _SEEN}
        due = Row.objects.filter(pk=row.pk, due_at__lte=Now(), **seen)
        if not due.update(worker=self._worker, due_at=from_now(self._lease)):
            return False
        self._room.take(row.queue, row.host)
        self.taken.append(_delivery(row, self._worker))
        return True


def _first_waiting(after: int, last: int) -> Any:
    """Return what is due first in the next queue in which anything waits, and whether it is due."""
    waiting = Row.objects.filter(due_at__isnull=False, queue__gt=after, queue__lte=last)
    is_due = ExpressionWrapper(Q(due_at__lte=Now()), output_field=BooleanField())
    in_order = waiting.order_by("queue", "due_at").select_related("task")
    return in_order.annotate(is_due=is_due).first()


def advance(delivery: Delivery, seq: int, *, lease: timedelta) -> bool:
    """Record that events up to a number were delivered; return False if another has taken over."""
    held = Row.objects.filter(pk=delivery.id, worker=delivery.worker)
    changes: dict[str, Any] = {**WELL, "begins_with_task": False}
    return bool(held.update(delivered=seq, due_at=from_now(lease), **changes))


def settle(delivery: Delivery, seq: int) -> bool:
    """Release a configuration that has all events; return False where there are more by now."""
    held = Row.objects.filter(pk=delivery.id, worker=delivery.worker)
    if held.filter(announced__lte=seq).update(worker="", due_at=None):
        return True
    return not held.exists()


def release(worker: str) -> None:
    """Release all configurations of a worker, so that others go on at once."""
    # What a worker delivers is due. That has an index, and workers have none.
    Row.objects.filter(worker=worker, due_at__gt=EPOCH).update(worker="", due_at=Now())


def bring_near(longest: timedelta) -> None:
    """Make due now what would be due later than it can be: a clock was wrong as that was set."""
    far = Row.objects.filter(due_at__gt=from_now(longest))
    # A look first: on SQLite a change waits for the writers. In the order of the index, so that
    # PostgreSQL does not look for any such row in the whole table.
    if far.order_by("due_at").values_list("pk").first():
        far.update(due_at=Now())


def postpone(delivery: Delivery, error: str, *, pause: timedelta, patience: timedelta) -> bool:
    """Release a configuration whose webhook failed, to be tried again after a pause.

    Args:
        delivery: The claim of the configuration.
        error: What went wrong, for the admin.
        pause: How long to wait before it is due again.
        patience: For how long it may fail.

    Returns:
        Whether it has failed for longer than that, and is given up instead.
    """
    held = Row.objects.filter(pk=delivery.id, worker=delivery.worker)
    row = held.first()
    if row is None:
        return False
    now = timezone.now()
    since = row.failing_since or now
    dead = now - since >= patience
    held.update(
        worker="",
        due_at=None if dead else from_now(pause),
        dead_at=now if dead else None,
        failures=row.failures + 1,
        failing_since=since,
        error=escape_unstorable(error),
    )
    return dead


def give_up(delivery: Delivery, error: str) -> bool:
    """Deliver nothing more to a webhook, until somebody asks for it.

    Returns:
        Whether it was still this worker's to give up.
    """
    now = timezone.now()
    held = Row.objects.filter(pk=delivery.id, worker=delivery.worker)
    changed = held.update(worker="", due_at=None, dead_at=now, failing_since=now, error=error)
    return bool(changed)


def trace_of(task_id: UUID) -> dict[str, str]:
    """Return the headers that name the trace of a task's newest turn; empty: it has none."""
    runs = models.Run.objects.filter(task=task_id).order_by("-turn", "-attempt")
    return runs.values_list("trace", flat=True).first() or {}


def delivery_to(webhook_id: UUID) -> Delivery | None:
    """Return what is known of a webhook for a request that no worker has claimed; None: no row."""
    row = Row.objects.select_related("task").filter(pk=webhook_id).first()
    return None if row is None else _delivery(row, "")


def resend(rows: "QuerySet[models.PushNotificationConfig]") -> int:
    """Make webhooks due that fail or were given up, from the event at which they failed."""
    newest = models.Task.objects.filter(pk=OuterRef("task")).values("seq")
    failing = rows.exclude(failing_since=None)
    return failing.update(announced=Subquery(newest), due_at=Now(), worker="", **WELL)


def _delivery(row: models.PushNotificationConfig, worker: str) -> Delivery:
    return Delivery(
        id=row.pk,
        worker=worker,
        task_id=row.task_id,
        scope=Scope(row.task.agent, row.task.owner),
        url=row.url,
        host=row.host,
        queue=row.queue,
        scheme=row.scheme,
        secrets=row.secrets,
        payload=row.payload,
        base_url=row.base_url,
        begins_with_task=row.begins_with_task,
        delivered=row.delivered,
        failures=row.failures,
    )
