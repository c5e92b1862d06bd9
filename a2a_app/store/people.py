"""People: all that belongs to one of them, and how it is deleted or passed to nobody."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.db.models import Model, QuerySet

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.models.owners import (
    DELETED,
    caller_of,
    callers_named,
    name_of_row,
    owner_in,
    tenant_of,
)
from a2a_app.models.spending import SpenderKind
from a2a_app.protocol import TaskState
from a2a_app.protocol.states import TERMINAL_STATES
from a2a_app.store.events import Appended
from a2a_app.store.refusals import Refused
from a2a_app.store.removal import BATCH, BATCH_EVENTS, remove_contexts, remove_tasks
from a2a_app.store.task_head import find_task_head
from a2a_app.store.updates import StatusUpdate
from a2a_app.store.writes.append import append

# Each model with data of people, and by which fields its rows belong to a conversation.
PERSONAL: dict[type[Model], tuple[str, ...]] = {
    models.Context: ("pk",),
    models.Task: ("context",),
    models.Message: ("context",),
    models.Artifact: ("task__context",),
    models.Event: ("task__context",),
    models.ArchivedLog: ("task__context",),
    models.Run: ("task__context",),
    models.TokenUsage: ("task__context",),
    models.Approval: ("task__context",),
    models.Step: ("task__context",),
    models.ExternalEvent: ("task__context",),
    models.RemoteTask: ("task__context",),
    models.File: ("context",),
    models.PushNotificationConfig: ("task__context",),
    models.IdempotencyKey: ("task__context", "message__context"),
}
# What says no more of a person than how much there is. It goes with the rest.
BY_OWNER: tuple[type[Model], ...] = (models.StoredBytes, models.Spending)


@dataclass(frozen=True, slots=True)
class Person:
    """A user, another row that owns tasks, or an owner by the name that the admin shows."""

    callers: tuple[str, ...]
    """By these its conversations are found."""
    owner: str | None = None
    """Of these conversations only those of this owner. None: those in all tenants."""
    user_id: Any = None
    """The key of the user whose API keys are meant too."""

    @classmethod
    def of_row(cls, row: Model) -> "Person":
        """Return the person that a user, or another row, is in all tenants."""
        user_id = row.pk if isinstance(row, get_user_model()) else None
        return cls(callers_named(name_of_row(row)), user_id=user_id)

    @classmethod
    def of_owner(cls, owner: str) -> "Person":
        """Return the person by an owner, who is one within one tenant, or without any."""
        return cls((caller_of(owner),), owner)

    def contexts(self) -> "QuerySet[models.Context]":
        """Return the conversations, in the order of their index."""
        exact = {} if self.owner is None else {"owner": self.owner}
        found = models.Context.objects.filter(caller__in=self.callers, **exact)
        return found.order_by("caller", "pk")

    def tasks(self) -> "QuerySet[models.Task]":
        """Return the tasks."""
        return models.Task.objects.filter(context__in=self.contexts().order_by())

    def stored_bytes(self) -> "QuerySet[models.StoredBytes]":
        """Return the rows of what the person has stored, and of the limits it has reached."""
        exact = {} if self.owner is None else {"owner": self.owner}
        return models.StoredBytes.objects.filter(caller__in=self.callers, **exact)

    def spending(self) -> "QuerySet[models.Spending]":
        """Return the sums of what the person has used of language models."""
        exact = {} if self.owner is None else {"spender": self.owner}
        return models.Spending.objects.filter(
            per=SpenderKind.CALLER, caller__in=self.callers, **exact
        )

    def api_keys(self) -> "QuerySet[models.ApiKey]":
        """Return the API keys."""
        keys = models.ApiKey.objects.order_by("pk")
        return keys.none() if self.user_id is None else keys.filter(user=self.user_id)


def count(person: Person) -> "Counter[str]":
    """Count what belongs to a person, as `forget` does."""
    return Counter(
        {
            "tasks": person.tasks().count(),
            "conversations": person.contexts().count(),
            "API keys": person.api_keys().count(),
        }
    )


def forget(person: Person) -> Iterator["Counter[str]"]:
    """Delete all that belongs to a person, batch by batch, in any state.

    What comes meanwhile is deleted too. An agent that is at work on a task is stopped by its next
    verb, or when its lease is due. Cancel such tasks before, and it is stopped at once.

    Yields:
        After each batch, which is one short transaction, how many of each kind it has deleted.
    """
    while contexts := list(person.contexts().values_list("pk", flat=True)[:BATCH]):
        while tasks := _some_tasks(contexts):
            yield Counter({"tasks": len(remove_tasks(models.Task.objects.filter(pk__in=tasks)))})
        empty = models.Context.objects.filter(pk__in=contexts, tasks=None)
        yield Counter({"conversations": remove_contexts(empty)})
    person.stored_bytes().delete()
    person.spending().delete()
    deleted, _ = person.api_keys().delete()
    yield Counter({"API keys": deleted})


def _some_tasks(contexts: list[UUID]) -> list[UUID]:
    """Return some tasks of conversations: one at least if there are any, and few of long logs."""
    found: list[UUID] = []
    events = 0
    rows = models.Task.objects.filter(context__in=contexts).values_list("pk", "seq")
    for key, seq in rows[:BATCH]:
        events += seq
        if found and events > BATCH_EVENTS:
            break
        found.append(key)
    return found


def unended(person: Person) -> Iterator[UUID]:
    """Yield a person's tasks that have not ended, and read few of them at a time."""
    open_tasks = person.tasks().exclude(state__in=TERMINAL_STATES).order_by("pk")
    after: dict[str, UUID] = {}
    while keys := list(open_tasks.filter(**after).values_list("pk", flat=True)[:BATCH]):
        yield from keys
        after = {"pk__gt": keys[-1]}


def cancel(task_id: UUID) -> Appended | None:
    """End a task as canceled, also one whose agent cannot be canceled by clients.

    Returns:
        What is to be notified of; None: the task has ended or is gone.
    """
    head = find_task_head(task_id)
    try:
        return append(head, [StatusUpdate(TaskState.CANCELED)]) if head is not None else None
    except Refused:
        return None


def disown(person: Person) -> None:
    """Pass all that belongs to a person to an owner that never comes again.

    It is one transaction of short statements. Each owner stays in its tenant.
    """
    # Most rows own nothing, and on SQLite a transaction waits for the writers. In the order of the
    # index, so that PostgreSQL does not look for any such row in the whole table.
    if person.contexts().values_list("pk").first() is None:
        return
    caller = f"{DELETED}:{uuid4()}"
    with atomic():
        while first := person.contexts().values_list("agent", "owner").first():
            agent, owner = first
            new = owner_in(tenant_of(owner), caller)
            whose = {"agent": agent, "owner": owner}
            _rename(models.Task.objects.filter(**whose), owner=new, user=None)
            # After the tasks, whose lock a usage waits for that is being recorded.
            _rename(models.TokenUsage.objects.filter(**whose), owner=new)
            _rename(models.IdempotencyKey.objects.filter(**whose), owner=new)
            models.StoredBytes.objects.filter(owner=owner).update(owner=new, caller=caller_of(new))
            sums = models.Spending.objects.filter(per=SpenderKind.CALLER, spender=owner)
            sums.update(spender=new, caller=caller_of(new))
            _rename(person.contexts().filter(**whose), owner=new, caller=caller_of(new))


def _rename(rows: "QuerySet[Any]", **values: Any) -> None:
    """Change fields of rows, after which they are no longer among those that the queryset finds."""
    table = rows.model._default_manager
    while keys := list(rows.values_list("pk", flat=True)[:BATCH]):
        table.filter(pk__in=keys).update(**values)
