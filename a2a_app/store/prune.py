"""Pruning: tasks and conversations that are over, and old enough to be deleted."""

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


def forget_tasks(age: Age, keys: Sequence[UUID]) -> int:
    """Delete those of the tasks that are old, and all that belongs to them; return their number."""
    with atomic():
        # This changes nothing and locks the rows: a client that answers now finds its task gone.
        old = age.tasks().filter(pk__in=keys)
        old.update(seq=F("seq"))
        return _delete(models.Task, list(old.values_list("pk", flat=True)))


def forget_contexts(age: Age, keys: Sequence[UUID]) -> int:
    """Delete those of the conversations that are old; return their number."""
    with atomic():
        # On SQLite the write locks the rows. PostgreSQL needs a stronger lock than an update's to
        # refuse a new task, whose row refers to the context. Only then is it known whether there
        # is one.
        rows = models.Context.objects.filter(pk__in=keys)
        rows.update(version=F("version"))
        list(rows.select_for_update().values_list("pk"))
        return _delete(
            models.Context, list(age.contexts().filter(pk__in=keys).values_list("pk", flat=True))
        )


def _delete(model: type[models.Task] | type[models.Context], keys: Sequence[UUID]) -> int:
    # By Django, whose signals delete files with their rows.
    model._default_manager.filter(pk__in=keys).delete()
    return len(keys)
