"""Retention: the setting RETENTION, by which what is old is deleted bit by bit (R5, R15)."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Now
from django.utils import timezone

from a2a_app import conf, models
from a2a_app.database.values import EPOCH, from_now
from a2a_app.protocol import TaskState
from a2a_app.store.archives import tidy
from a2a_app.store.budgets import forget_old_spending
from a2a_app.store.prune import Age, Whose, forget, forget_contexts
from a2a_app.store.removal import BATCH, BATCH_EVENTS

logger = logging.getLogger(__name__)

# How many rows a bit of the work looks at.
WINDOW = 10_000
# Where a process has ended in the middle of a bit, another one goes on after this.
LEASE = timedelta(minutes=10)
# The pause after a table was looked through.
PAUSE = timedelta(hours=1)

TASKS, CONVERSATIONS = "retention of tasks", "retention of conversations"
NOUNS = {TASKS: "tasks", CONVERSATIONS: "conversations"}
KINDS = tuple(NOUNS)


def ages(now: datetime) -> list[Age]:
    """Return what is old by each rule of RETENTION, and left alone by the rules before it."""
    found: list[Age] = []
    earlier: list[Whose] = []
    for rule in conf.current().retention:
        whose = Whose(
            [rule.agent] if rule.agent else (),
            [rule.owner] if rule.owner else (),
            [TaskState[rule.state.upper()]] if rule.state else (),
        )
        if rule.days is not None:
            then = now - timedelta(days=rule.days)
            found.append(Age(then, then if whose.states else None, whose, list(earlier)))
        earlier.append(whose)
    return found


def claim(kind: str) -> bool:
    """Take the next bit of the work for this process; return False where none is due."""
    if not models.Upkeep.objects.filter(name=kind).exists():
        new = models.Upkeep(name=kind, due_at=EPOCH)
        models.Upkeep.objects.bulk_create([new], ignore_conflicts=True)
    due = models.Upkeep.objects.filter(name=kind, due_at__lte=Now())
    # A look first: on SQLite a change waits for the writers.
    return due.exists() and bool(due.update(due_at=from_now(LEASE)))


def release(kind: str) -> None:
    """Have the next bit of a work be due as soon as any process looks."""
    models.Upkeep.objects.filter(name=kind).update(due_at=Now())


def retain(kind: str) -> int:
    """Do a bit of the work: look at some rows, and delete those of them that are old.

    Call it in a thread for storages, since files are deleted with the rows that name them.

    Returns:
        How many tasks, or conversations, were deleted.

    Raises:
        ArchiveError: A storage has failed, after all else was done.
    """
    after = models.Upkeep.objects.values_list("after", flat=True).get(name=kind)
    deleted, reached = _retain_after(kind, after)
    pause = PAUSE if reached is None else timedelta(0)
    models.Upkeep.objects.filter(name=kind).update(after=reached, due_at=from_now(pause))
    if deleted:
        logger.info("By RETENTION were deleted: %d %s.", deleted, NOUNS[kind])
    if reached is None and kind == TASKS:
        forget_old_spending()
        # What an archive has of the tasks that were deleted in this pass. It comes last, so that a
        # storage that fails keeps no later pass from its beginning.
        tidy()
    return deleted


def _retain_after(kind: str, after: UUID | None) -> tuple[int, UUID | None]:
    """Return how many rows were deleted, and the last that was looked at; None: that of all."""
    model: Any = models.Task if kind == TASKS else models.Context
    within = {} if after is None else {"pk__gt": after}
    table = model.objects.filter(**within).order_by("pk").values_list("pk", flat=True)
    end: UUID | None = table[WINDOW - 1 : WINDOW].first()
    if end is not None:
        within = {**within, "pk__lte": end}
    deleted = 0
    reached = end
    for age in ages(timezone.now()):
        old: QuerySet[Any] = age.tasks() if kind == TASKS else age.contexts()
        keys, is_all = _some(old.filter(**within), F("seq") if kind == TASKS else Value(0))
        if kind == TASKS:
            deleted += forget(age, keys).tasks
        else:
            deleted += forget_contexts(age, keys)
        if not is_all and (reached is None or keys[-1] < reached):
            reached = keys[-1]
    return deleted, reached


def _some(rows: "QuerySet[Any]", weight: F | Value) -> tuple[Sequence[UUID], bool]:
    """Return the keys of the first rows, not many and not of long logs; and whether that is all."""
    weighed = rows.order_by("pk").annotate(weight=weight).values_list("pk", "weight")[: BATCH + 1]
    keys: list[UUID] = []
    total = 0
    for key, events in weighed:
        total += events
        if keys and (len(keys) == BATCH or total > BATCH_EVENTS):
            return keys, False
        keys.append(key)
    return keys, True
