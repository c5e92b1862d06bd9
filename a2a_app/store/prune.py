"""Pruning: what is over, and old enough to be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.protocol.states import INTERRUPTED_STATES, TERMINAL_STATES


@dataclass(frozen=True, slots=True)
class Age:
    """What counts as old."""

    ended: datetime
    """A task is old that ended before this, and a conversation's answers too."""
    waiting: datetime | None = None
    """A task too that has waited for its client since before this; None: it never is."""
    agents: Sequence[str] = ()
    """The slugs of whose; empty: everybody's."""

    def tasks(self) -> "QuerySet[models.Task]":
        """Give the tasks that are old. One that a webhook has still to hear of is not."""
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
        """Give the conversations that have no tasks, or none but these, and no young answers."""
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


def forget_tasks(age: Age, keys: Sequence[UUID]) -> int:
    """Delete those of the tasks that are old, and all that belongs to them; gives how many."""
    with atomic():
        # It changes nothing and holds the rows: a client that answers now finds its task gone.
        old = age.tasks().filter(pk__in=keys)
        old.update(seq=F("seq"))
        return _delete(models.Task, list(old.values_list("pk", flat=True)))


def forget_contexts(age: Age, keys: Sequence[UUID]) -> int:
    """Delete those of the conversations that are old; gives how many."""
    with atomic():
        # SQLite holds what is written; PostgreSQL needs more than that to keep out a new task,
        # whose row names the context. Only then can be told whether there is one.
        rows = models.Context.objects.filter(pk__in=keys)
        rows.update(version=F("version"))
        list(rows.select_for_update().values_list("pk"))
        return _delete(
            models.Context, list(age.contexts().filter(pk__in=keys).values_list("pk", flat=True))
        )


def _delete(model: type[models.Task] | type[models.Context], keys: Sequence[UUID]) -> int:
    # By Django, which deletes files with their rows.
    model._default_manager.filter(pk__in=keys).delete()
    return len(keys)
