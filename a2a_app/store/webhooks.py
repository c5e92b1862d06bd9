"""Webhooks: push notification configurations, and which worker delivers to them (section 4.3).

The log is the outbox. A configuration has a position in it, and is due when there are events after
that position.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from a2a_app import conf, models, protocol
from a2a_app.database import atomic
from a2a_app.database.values import EPOCH, escape_unstorable, from_now, new_key
from a2a_app.models.owners import Scope
from a2a_app.store.reads.tasks import owned_task_head
from a2a_app.store.secrets import seal
from a2a_app.store.updates import Webhook

Row = models.PushNotificationConfig

_WELL: dict[str, Any] = {"failures": 0, "failing_since": None, "error": "", "dead_at": None}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A configuration to which one worker may now deliver, and the number it delivers from."""

    id: UUID
    worker: str
    task_id: UUID
    scope: Scope
    url: str
    host: str
    scheme: str
    secrets: str
    """The token and the credentials, sealed."""
    payload: str
    base_url: str
    delivered: int
    failures: int


def announce(task_id: UUID, seq: int) -> None:
    """Make the task's configurations due for the events up to a number.

    Called in the transaction that writes them. A configuration to which a worker delivers now, or
    that waits after a failure, stays due when it was.
    """
    waiting = Row.objects.filter(task=task_id, dead_at=None, announced__lt=seq)
    waiting.update(announced=seq, due_at=Coalesce("due_at", Now()))


def put_webhook(task_id: UUID, webhook: Webhook, *, after: int) -> models.PushNotificationConfig:
    """Store a configuration, or replace the one of the same id that the task has.

    Args:
        task_id: The task.
        webhook: The configuration, checked.
        after: The webhook gets the events after this number.

    Raises:
        UnsupportedOperationError: The task has as many configurations as it may have.
    """
    config = webhook.config
    key = config.id or str(new_key())
    most = conf.current().push_configs_per_task
    if Row.objects.filter(task=task_id).exclude(config_id=key).count() >= most:
        raise protocol.UnsupportedOperationError(
            f"The task has {most} push notification configurations, and may not have more.",
            task_id=str(task_id),
        )
    asked = config.authentication or protocol.AuthenticationInfo.model_construct(scheme="")
    secrets = {"token": config.token, "credentials": asked.credentials}
    row, _ = Row.objects.update_or_create(
        task_id=task_id,
        config_id=key,
        defaults={
            **_WELL,
            "url": config.url,
            "host": webhook.host,
            "scheme": asked.scheme,
            "secrets": seal({name: value for name, value in secrets.items() if value}),
            "payload": webhook.payload,
            "base_url": webhook.base_url,
            "delivered": after,
            "announced": after,
            "due_at": None,
            "worker": "",
        },
    )
    return row


def create(scope: Scope, webhook: Webhook) -> protocol.TaskPushNotificationConfig:
    """Store a configuration of a task; raise TaskNotFoundError or UnsupportedOperationError."""
    task_id = owned_task_head(scope, webhook.config.task_id).task_id
    with atomic():
        # This locks the row: no event comes between the number that is read and the configuration.
        models.Task.objects.filter(pk=task_id).update(pushed=True)
        seq = models.Task.objects.values_list("seq", flat=True).get(pk=task_id)
        return _config(put_webhook(task_id, webhook, after=seq))


def get(scope: Scope, task_id: str, config_id: str) -> protocol.TaskPushNotificationConfig:
    """Return a configuration; raise TaskNotFoundError, also where the task has none of that id."""
    row = _of(scope, task_id).filter(config_id=config_id).first()
    if row is None:
        raise protocol.TaskNotFoundError(
            f"The task has no push notification configuration {config_id[:100]!r}.",
            task_id=task_id[:100],
        )
    return _config(row)


def page(
    scope: Scope, params: protocol.ListTaskPushNotificationConfigsRequest
) -> protocol.ListTaskPushNotificationConfigsResponse:
    """Return a page of a task's configurations, the oldest first; raise TaskNotFoundError."""
    rows = _of(scope, params.task_id).order_by("id")
    if params.page_token:
        rows = rows.filter(id__gt=_key(params.page_token))
    size = params.page_size or conf.current().push_configs_per_task
    found = list(rows[: size + 1])
    return protocol.ListTaskPushNotificationConfigsResponse(
        configs=[_config(row) for row in found[:size]],
        next_page_token=found[size - 1].pk.hex if len(found) > size else "",
    )


def delete(scope: Scope, task_id: str, config_id: str) -> None:
    """Delete a configuration, if there is one; raise TaskNotFoundError where there is no task."""
    _of(scope, task_id).filter(config_id=config_id).delete()


def claim_due(
    worker: str, *, limit: int, lease: timedelta, busy: Collection[str]
) -> list[Delivery]:
    """Claim configurations that have events to deliver, the longest due first.

    Args:
        worker: The worker that delivers. Another one may, once the lease is over.
        limit: How many at most.
        lease: For how long they are the worker's.
        busy: Hosts to which nothing is to be delivered now.
    """
    due = Row.objects.filter(due_at__lte=Now())
    found = due.exclude(host__in=busy).select_related("task").order_by("due_at")[:limit]
    return [
        _delivery(row, worker)
        for row in found
        # Of two workers that found it, the second no longer finds it due.
        if due.filter(pk=row.pk).update(worker=worker, due_at=from_now(lease))
    ]


def advance(delivery: Delivery, seq: int, *, lease: timedelta) -> bool:
    """Record that events up to a number were delivered; return False if another has taken over."""
    held = Row.objects.filter(pk=delivery.id, worker=delivery.worker)
    return bool(held.update(delivered=seq, due_at=from_now(lease), **_WELL))


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


def resend(rows: "QuerySet[models.PushNotificationConfig]") -> int:
    """Make webhooks due that fail or were given up, from the event at which they failed."""
    newest = models.Task.objects.filter(pk=OuterRef("task")).values("seq")
    failing = rows.exclude(failing_since=None)
    return failing.update(announced=Subquery(newest), due_at=Now(), worker="", **_WELL)


def _of(scope: Scope, task_id: str) -> "QuerySet[models.PushNotificationConfig]":
    return Row.objects.filter(task=owned_task_head(scope, task_id).task_id)


def _config(row: models.PushNotificationConfig) -> protocol.TaskPushNotificationConfig:
    """Return the protocol's object without its secrets, which only the webhook gets."""
    authentication = protocol.AuthenticationInfo(scheme=row.scheme) if row.scheme else None
    return protocol.TaskPushNotificationConfig(
        id=row.config_id, task_id=str(row.task_id), url=row.url, authentication=authentication
    )


def _delivery(row: models.PushNotificationConfig, worker: str) -> Delivery:
    return Delivery(
        id=row.pk,
        worker=worker,
        task_id=row.task_id,
        scope=Scope(row.task.agent, row.task.owner),
        url=row.url,
        host=row.host,
        scheme=row.scheme,
        secrets=row.secrets,
        payload=row.payload,
        base_url=row.base_url,
        delivered=row.delivered,
        failures=row.failures,
    )


def _key(token: str) -> UUID:
    try:
        return UUID(token)
    except ValueError:
        raise protocol.InvalidParamsError.of(
            "pageToken", "is not a token that this server gave"
        ) from None
