"""Pruning: tasks and conversations that are over, and old enough to be deleted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.deletes import delete_rows, lock_rows, may_skip_django
from a2a_app.protocol.states import INTERRUPTED_STATES, TERMINAL_STATES

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


class Forgotten(NamedTuple):
    """How many tasks and conversations were deleted."""

    tasks: int
    conversations: int


@dataclass(frozen=True, slots=True)
class Age:
    """How old a task or a conversation must be to be deleted."""

    ended: datetime
    """A task is old if it ended before this, and an answer without a task if given before."""
    waiting: datetime | None = None
    """A task is old too if it has waited for its client since before this; None: it never is."""
    agents: Sequence[str] = ()
    """The slugs of the agents whose tasks are meant; empty: all agents."""

    def tasks(self) -> "QuerySet[models.Task]":
        """Return the tasks that are old, without those that a webhook has still to hear of."""
        old = Q(state__in=TERMINAL_STATES, status_at__lt=self.ended)
        if self.waiting is not None:
            # No turn is under way, and none waits for its place.
            idle = Q(answered=F("turn"), run=None)
            old |= Q(state__in=INTERRUPTED_STATES, status_at__lt=self.waiting) & idle
        unheard = models.PushNotificationConfig.objects.filter(
            task=OuterRef("pk"), due_at__isnull=False
        )
        return models.Task.objects.filter(old, ~Exists(unheard), **self._whose)

    def contexts(
        self, *, without: "QuerySet[models.Task] | None" = None
    ) -> "QuerySet[models.Context]":
        """Return the conversations that are old, and have neither tasks nor answers that are not.

        Args:
            without: Tasks that do not count, since they are about to be deleted.
        """
        tasks = models.Task.objects.filter(context=OuterRef("pk"))
        if without is not None:
            tasks = tasks.exclude(pk__in=without.values("pk"))
        young = models.Message.objects.filter(context=OuterRef("pk"), created_at__gte=self.ended)
        return models.Context.objects.filter(
            ~Exists(tasks), ~Exists(young), created_at__lt=self.ended, **self._whose
        )

    @property
    def _whose(self) -> dict[str, Any]:
        return {"agent__in": self.agents} if self.agents else {}


def forget(age: Age, keys: Sequence[UUID]) -> Forgotten:
    """Delete those of the tasks that are old, and the conversations in which nothing else is left.

    It is two short transactions, each of which may be the last one.
    """
    contexts = forget_tasks(age, keys)
    return Forgotten(len(contexts), forget_contexts(age, set(contexts)))


def forget_tasks(age: Age, keys: Sequence[UUID]) -> list[UUID]:
    """Delete those of the tasks that are old, and all that belongs to them.

    Returns:
        For each deleted task the key of its conversation.
    """
    with atomic():
        old = age.tasks().filter(pk__in=keys)
        # A client that answers now finds its task gone.
        found: dict[UUID, UUID] = dict(lock_rows(old, "pk", "context_id", touch="seq"))
        # By Django, whose signals delete files with their rows.
        models.File.objects.filter(task__in=list(found)).delete()
        _delete(models.Task, list(found), [(model, "task") for model in _OF_A_TASK])
        return list(found.values())


def forget_contexts(age: Age, keys: Collection[UUID]) -> int:
    """Delete those of the conversations that are old; return their number."""
    # Looked for before any is locked: most conversations of a site are in use.
    empty = list(age.contexts().filter(pk__in=keys).values_list("pk", flat=True))
    if not empty:
        return 0
    with atomic():
        # The lock refuses a new task, whose row refers to the conversation. Only then is it known
        # whether there is one.
        lock_rows(models.Context.objects.filter(pk__in=empty), "pk", touch="version")
        found = list(age.contexts().filter(pk__in=empty).values_list("pk", flat=True))
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
