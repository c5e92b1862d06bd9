"""Pruning: tasks and conversations that are over, and old enough to be deleted."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.db.models import Exists, F, OuterRef, ProtectedError, Q, QuerySet, RestrictedError

from a2a_app import models
from a2a_app.database.values import IsAmong
from a2a_app.models.owners import caller_of
from a2a_app.protocol import TaskState
from a2a_app.protocol.states import INTERRUPTED_STATES, TERMINAL_STATES
from a2a_app.store.durable.remote_tasks import give_up, has_to_cancel
from a2a_app.store.removal import remove_contexts, remove_tasks

T = TypeVar("T")


class Forgotten(NamedTuple):
    """How many tasks and conversations were deleted."""

    tasks: int
    conversations: int


@dataclass(frozen=True, slots=True)
class Whose:
    """Tasks and conversations by their agents, their owners and, of tasks, their states."""

    agents: Sequence[str] = ()
    """The slugs of the agents that are meant; empty: all agents."""
    owners: Sequence[str] = ()
    """The owners that are meant; empty: all owners."""
    states: Collection[TaskState] = ()
    """The states that are meant; empty: all states. Of conversations then only those are meant in
    which nothing is left: an answer without a task has no state."""

    def conversations(self) -> dict[str, Any]:
        """Return the conditions on conversations."""
        callers = {caller_of(owner) for owner in self.owners}
        # By the caller too, which has an index.
        named = {"owner__in": self.owners, "caller__in": callers} if self.owners else {}
        return {**named, **({"agent__in": self.agents} if self.agents else {})}

    def tasks(self) -> dict[str, Any]:
        """Return the conditions on tasks."""
        found: dict[str, Any] = {"agent__in": self.agents} if self.agents else {}
        if self.owners:
            found["owner__in"] = self.owners
        if self.states:
            found["state__in"] = self.states
        return found


@dataclass(frozen=True, slots=True)
class Age:
    """How old a task or a conversation must be to be deleted."""

    ended: datetime
    """A task is old if it ended before this, and an answer without a task if given before."""
    waiting: datetime | None = None
    """A task is old too if it has waited for its client since before this; None: it never is."""
    whose: Whose = Whose()
    """Of which agents, owners and states."""
    besides: Sequence[Whose] = ()
    """What is left alone whatever its age, since another rule decides on it."""

    def tasks(self) -> "QuerySet[models.Task]":
        """Return the tasks that are old, without those of which others have still to hear.

        These are its webhooks, and the agents that it has asked for what nobody wants any more.
        """
        old = Q(state__in=TERMINAL_STATES, status_at__lt=self.ended)
        if self.waiting is not None:
            # No turn is under way, and none waits for its place. One may wait for a decision.
            idle = Q(answered=F("turn"), run=None) | Q(asks=True)
            old |= Q(state__in=INTERRUPTED_STATES, status_at__lt=self.waiting) & idle
        unheard = models.PushNotificationConfig.objects.filter(
            task=OuterRef("pk"), due_at__isnull=False
        )
        found = models.Task.objects.filter(
            old, ~Exists(unheard), ~has_to_cancel(), **self.whose.tasks()
        )
        others = [Q(**each.tasks()) for each in self.besides]
        return found.exclude(_any(others)) if others else found

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
        kept = models.Message.objects.filter(context=OuterRef("pk"))
        if self.whose.states:
            kept = kept.filter(task=None)
        else:
            kept = kept.filter(created_at__gte=self.ended)
        found = models.Context.objects.filter(
            ~Exists(tasks), ~Exists(kept), created_at__lt=self.ended, **self.whose.conversations()
        )
        others = [Q(**each.conversations()) for each in self.besides if not each.states]
        return found.exclude(_any(others)) if others else found


def _any(conditions: Sequence[Q]) -> Q:
    found = Q()
    for each in conditions:
        # An empty condition is one that everything fits, and `|` would drop it.
        found |= each or Q(pk__isnull=False)
    return found


def forget(age: Age, keys: Sequence[UUID]) -> Forgotten:
    """Delete those of the tasks that are old, and the conversations in which nothing else is left.

    It is two short transactions, each of which may be the last one.
    """
    contexts = forget_tasks(age, keys)
    return Forgotten(len(contexts), forget_contexts(age, set(contexts)))


def forget_tasks(age: Age, keys: Sequence[UUID]) -> list[UUID]:
    """Delete those of the tasks that are old, and all that belongs to them.

    What one that waits has asked other agents is canceled first, for as long as the row that names
    it is there. So it goes with a later call. One that the project protects stays.

    Returns:
        For each deleted task the key of its conversation.
    """

    def old(some: Sequence[UUID]) -> "QuerySet[models.Task]":
        return age.tasks().filter(IsAmong(F("pk"), some))

    give_up(old(keys))
    removed = _remove_unprotected(lambda some: remove_tasks(old(some)), keys)
    return [context for contexts in removed for context in contexts]


def forget_contexts(age: Age, keys: Collection[UUID]) -> int:
    """Delete those of the conversations that are old; return their number."""

    def remove(some: Sequence[UUID]) -> int:
        return remove_contexts(age.contexts().filter(IsAmong(F("pk"), some)))

    return sum(_remove_unprotected(remove, list(keys)))


def _remove_unprotected(remove: Callable[[Sequence[UUID]], T], keys: Sequence[UUID]) -> Iterator[T]:
    """Remove rows, without those that a foreign key or a receiver of the project protects.

    Yields:
        What each call of `remove` returns.
    """
    try:
        yield remove(keys)
    except (ProtectedError, RestrictedError):
        half = len(keys) // 2
        if half:
            yield from _remove_unprotected(remove, keys[:half])
            yield from _remove_unprotected(remove, keys[half:])
