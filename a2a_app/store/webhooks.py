"""Webhooks: the push notification configurations of tasks (section 4.3).

The log is the outbox. A configuration has a position in it, and is due when there are events after
that position.
"""

from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Now
from django.views.decorators.debug import sensitive_variables

from a2a_app import conf, models, protocol
from a2a_app.database import atomic
from a2a_app.database.values import new_key
from a2a_app.models.owners import Scope, queue_of, queues_of
from a2a_app.store.deliveries import WELL
from a2a_app.store.reads.tasks import owned_task_head
from a2a_app.store.secrets import seal
from a2a_app.store.updates import Webhook
from a2a_app.store.writes import limits, rows

Row = models.PushNotificationConfig
# After how long a client is told to try again where too many webhooks wait.
RETRY_SECONDS = 60


def announce(task_id: UUID, seq: int) -> None:
    """Make the task's configurations due for the events up to a number.

    Called in the transaction that writes them. A configuration to which a worker delivers now, or
    that waits after a failure, stays due when it was.
    """
    waiting = Row.objects.filter(task=task_id, dead_at=None, announced__lt=seq)
    waiting.update(announced=seq, due_at=Coalesce("due_at", Now()))


@sensitive_variables()
def put_webhook(
    task_id: UUID, webhook: Webhook, *, owner: str, after: int
) -> models.PushNotificationConfig:
    """Store a configuration, or replace the one of the same id that the task has.

    Args:
        task_id: The task.
        webhook: The configuration, checked.
        owner: The task's owner.
        after: The webhook gets the events after this number.

    Raises:
        ResourceExhaustedError: The task has as many configurations as it may have, or the owner as
            many webhooks that wait.
    """
    config, has_snapshot = webhook.config, conf.current().push_snapshot
    key = config.id or str(new_key())
    _check_limits(task_id, key, owner)
    asked = config.authentication or protocol.AuthenticationInfo.model_construct(scheme="")
    secrets = {"token": config.token, "credentials": asked.credentials}
    row, _ = Row.objects.update_or_create(
        task_id=task_id,
        config_id=key,
        defaults={
            **WELL,
            "url": config.url,
            "host": webhook.host,
            "queue": queue_of(owner, webhook.host),
            "scheme": asked.scheme,
            "secrets": seal({name: value for name, value in secrets.items() if value}),
            "payload": webhook.payload,
            "base_url": webhook.base_url,
            "delivered": after,
            "announced": after,
            "begins_with_task": has_snapshot,
            "due_at": Now() if has_snapshot else None,
            "worker": "",
        },
    )
    return row


def _check_limits(task_id: UUID, key: str, owner: str) -> None:
    """Check how many configurations there are, in a transaction that has locked the task's row."""
    most = conf.current().push_configs_per_task
    if Row.objects.filter(task=task_id).exclude(config_id=key).count() >= most:
        raise protocol.NoRoomError(
            f"The task has {most} push notification configurations. Delete one to configure "
            "another.",
            limit="PUSH_CONFIGS_PER_TASK",
        )
    most = conf.current().push_backlog_per_owner
    others = Row.objects.exclude(task=task_id, config_id=key)
    if not most or _count_waiting(others, owner, most) < most - rows.AT_ONCE:
        return
    # Near the limit one is configured after the other. Nothing else may be waited for after this,
    # or two transactions could wait for each other.
    limits.hold_part(owner, rows.WEBHOOKS_PART)
    if _count_waiting(others, owner, most) >= most:
        raise protocol.ResourceExhaustedError(
            f"{most} of your webhooks have not got all of their events yet. You may configure more "
            "when some of those have got theirs, or are deleted.",
            limit="PUSH_BACKLOG_PER_OWNER",
            retry_seconds=RETRY_SECONDS,
        )


def _count_waiting(
    webhooks: "QuerySet[models.PushNotificationConfig]", owner: str, most: int
) -> int:
    """Count the webhooks of an owner that wait for events, to a limit and no further.

    Those wait to which events are to be delivered, and those whose task is being worked on.
    """
    queues = queues_of(owner)
    # Each by an index, of what waits or of turns that are not over. Both are one statement, since
    # a webhook whose turn says something between two would be in neither.
    due = webhooks.filter(due_at__isnull=False, queue__range=queues)
    turns = models.Run.objects.filter(
        lease_until__isnull=False, ended_at=None, queue__range=queues
    ).values("task")
    to_come = webhooks.filter(due_at=None, dead_at=None, task__in=turns)
    return len(due.values("pk").union(to_come.values("pk"), all=True)[:most])


def create(scope: Scope, webhook: Webhook) -> protocol.TaskPushNotificationConfig:
    """Store a configuration of a task; raise TaskNotFoundError or ResourceExhaustedError."""
    task_id = owned_task_head(scope, webhook.config.task_id).task_id
    with atomic():
        # This locks the row: no event comes between the number that is read and the configuration.
        models.Task.objects.filter(pk=task_id).update(pushed=True)
        seq = models.Task.objects.values_list("seq", flat=True).get(pk=task_id)
        return _config(put_webhook(task_id, webhook, owner=scope.owner, after=seq))


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


def _of(scope: Scope, task_id: str) -> "QuerySet[models.PushNotificationConfig]":
    return Row.objects.filter(task=owned_task_head(scope, task_id).task_id)


def _config(row: models.PushNotificationConfig) -> protocol.TaskPushNotificationConfig:
    """Return the protocol's object without its secrets, which only the webhook gets."""
    authentication = protocol.AuthenticationInfo(scheme=row.scheme) if row.scheme else None
    return protocol.TaskPushNotificationConfig(
        id=row.config_id, task_id=str(row.task_id), url=row.url, authentication=authentication
    )


def _key(token: str) -> UUID:
    try:
        return UUID(token)
    except ValueError:
        raise protocol.InvalidParamsError.of(
            "pageToken", "is not a token that this server gave"
        ) from None
