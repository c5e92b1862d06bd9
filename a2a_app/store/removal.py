"""Removal: tasks and conversations are deleted with all that belongs to them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import F, Model, QuerySet
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from a2a_app import models
from a2a_app.database import alias, atomic
from a2a_app.database.deletes import delete_rows, lock_rows, may_skip_django
from a2a_app.database.inserts import insert
from a2a_app.database.values import IsAmong
from a2a_app.protocol import TaskState
from a2a_app.store.durable.wake import wake
from a2a_app.store.writes.rows import stored_bytes

# How many tasks or conversations are deleted at once at most, and how many events may hang on them.
# PostgreSQL then needs some 25 ms, and others wait no longer for what it has locked. The size does
# not follow the time that it takes: on a busy machine that is mostly waiting, which smaller batches
# would only add to.
BATCH = 250
BATCH_EVENTS = 4_000

# What has a task, and what a conversation has besides its tasks. Files are deleted before.
_OF_A_TASK: tuple[type[Model], ...] = (
    models.PushNotificationConfig, models.IdempotencyKey, models.Artifact, models.Event,
    models.ArchivedLog, models.TokenUsage, models.Approval, models.Step, models.ExternalEvent,
    models.RemoteTask, models.Run, models.Message,
)  # fmt: skip  # as one list
_OF_A_CONTEXT: tuple[tuple[type[Model], str], ...] = (
    (models.IdempotencyKey, "message__context"),
    (models.Message, "context"),
)
# What refers to any of these. What of it is not deleted with them is deleted before, or not there.
_KNOWN: tuple[type[Model], ...] = (models.File, models.Task, *_OF_A_TASK)


def remove_tasks(tasks: "QuerySet[models.Task]") -> list[UUID]:
    """Delete tasks, and all that belongs to them.

    Args:
        tasks: The tasks. Those that are no longer so once they are locked stay.

    Returns:
        For each deleted task the key of its conversation.
    """
    with atomic():
        # A client that answers now finds its task gone.
        fields = ("pk", "context_id", "owner", "counted", "linked")
        found = lock_rows(tasks, *fields, touch="seq")
        keys = [key for key, *_ in found]
        _wake_askers([key for key, *_, linked in found if linked])
        # By Django, whose signals delete files with their rows.
        models.File.objects.filter(IsAmong(F("task_id"), keys)).delete()
        if _delete(models.Task, keys, [(model, "task") for model in _OF_A_TASK]):
            _release((owner, counted) for _, _, owner, counted, _ in found)
        return [context for _, context, *_ in found]


def remove_contexts(contexts: "QuerySet[models.Context]") -> int:
    """Delete conversations without tasks, and all that belongs to them; return their number.

    Args:
        contexts: The conversations. Those that are no longer so once they are locked stay.
    """
    # Looked for before any is locked: most conversations of a site are in use.
    wanted = list(contexts.values_list("pk", flat=True))
    if not wanted:
        return 0
    with atomic():
        # The lock refuses a new task, whose row refers to the conversation. Only then is it known
        # whether there is one.
        lock_rows(models.Context.objects.filter(IsAmong(F("pk"), wanted)), "pk", touch="version")
        rows = list(contexts.filter(IsAmong(F("pk"), wanted)).values_list("pk", "owner", "stored"))
        found = [key for key, *_ in rows]
        models.File.objects.filter(IsAmong(F("context_id"), found)).delete()
        if _delete(models.Context, found, _OF_A_CONTEXT):
            _release((owner, stored) for _, owner, stored in rows)
        return len(found)


def _wake_askers(keys: Sequence[UUID]) -> None:
    """Have the turns that wait for any of some tasks find that it is gone."""
    if not keys:
        return
    asked = models.RemoteTask.objects.filter(
        is_local=True, remote_id__in=[str(key) for key in keys], ended_at=None, cancel_at=None
    ).exclude(task__in=keys)
    # As `tell_linked` locks them: the row of a task before that of one that has asked for it.
    for waiting in sorted(set(asked.values_list("task", flat=True))):
        if models.Task.objects.filter(pk=waiting).update(seq=F("seq")):
            asked.filter(task=waiting).update(state=TaskState.CANCELED.value)
            wake(waiting)


def _release(sizes: Iterable[tuple[str, int]]) -> None:
    """Count what was deleted no longer as stored: for each row its owner and its bytes."""
    released: Counter[str] = Counter()
    for owner, size in sizes:
        released[owner] += size
    # In one order, so that two transactions never wait for each other. A part may be below 0, since
    # only the sum counts.
    for owner, size in sorted(released.items()):
        added = [stored_bytes(owner, -size)]
        insert(
            models.StoredBytes, added, overwrite=("stored",), unique=("owner", "part"), adds=True
        )


@receiver(pre_delete, sender=models.Task)
@receiver(pre_delete, sender=models.WaitingTask)
@receiver(pre_delete, sender=models.Context)
def _release_before(instance: models.Task | models.Context, using: str, **_: object) -> None:
    """Count a row that Django deletes no longer as stored, whoever has it deleted."""
    if using != alias():
        return  # a copy
    is_task = isinstance(instance, models.Task)
    size, touch = ("counted", "seq") if is_task else ("stored", "version")
    rows = type(instance)._base_manager.filter(pk=instance.pk)
    # Locked, so that of two that delete it one finds nothing to release.
    _release(lock_rows(rows, "owner", size, touch=touch))


def _delete(
    model: type[models.Task] | type[models.Context],
    keys: Sequence[UUID],
    belonging: Sequence[tuple[type[Model], str]],
) -> bool:
    """Delete rows and those that belong to them, by the fields that have their keys.

    Returns:
        Whether they are still to be released. Django releases what it deletes.
    """
    if not keys:
        return False
    ours = [model, *[each for each, _ in belonging]]
    if may_skip_django(ours, known=_KNOWN, receivers=[_release_before]):
        delete_rows([*belonging, (model, "id")], keys)
        return True
    model._default_manager.filter(pk__in=keys).delete()
    return False
