"""Removal: tasks and conversations are deleted with all that belongs to them."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Model, QuerySet

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.deletes import delete_rows, lock_rows, may_skip_django

# What has a task, and what a conversation has besides its tasks. Files are deleted before.
_OF_A_TASK: tuple[type[Model], ...] = (
    models.PushNotificationConfig, models.IdempotencyKey, models.Artifact, models.Event,
    models.ArchivedLog, models.Run, models.Message,
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
        found: dict[UUID, UUID] = dict(lock_rows(tasks, "pk", "context_id", touch="seq"))
        # By Django, whose signals delete files with their rows.
        models.File.objects.filter(task__in=list(found)).delete()
        _delete(models.Task, list(found), [(model, "task") for model in _OF_A_TASK])
        return list(found.values())


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
        lock_rows(models.Context.objects.filter(pk__in=wanted), "pk", touch="version")
        found = list(contexts.filter(pk__in=wanted).values_list("pk", flat=True))
        models.File.objects.filter(context__in=found).delete()
        _delete(models.Context, found, _OF_A_CONTEXT)
        return len(found)


def _delete(
    model: type[models.Task] | type[models.Context],
    keys: Sequence[UUID],
    belonging: Sequence[tuple[type[Model], str]],
) -> None:
    """Delete rows and those that belong to them, by the fields that have their keys."""
    if not keys:
        return
    ours = [model, *[each for each, _ in belonging]]
    if may_skip_django(ours, known=_KNOWN):
        for each, field in belonging:
            delete_rows(each, field, keys)
        delete_rows(model, "id", keys)
    else:
        model._default_manager.filter(pk__in=keys).delete()
