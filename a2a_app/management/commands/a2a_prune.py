"""`manage.py a2a_prune`: forget what is over and old."""

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import QuerySet
from django.utils import timezone

from a2a_app.store.prune import Age, forget_contexts, forget_tasks

# Small, for a task may have many events: each batch is a transaction.
BATCH = 100
# More than a calendar goes back would be an overflow, and not an answer.
MOST_DAYS = 36_500


class Command(BaseCommand):
    """Delete tasks that ended long ago, and the conversations that have nothing else."""

    help = (
        "Delete tasks that ended long ago, with their messages, artifacts, files and log, and "
        "conversations in which nothing else is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --days, --waiting-days, --agent and --dry-run."""
        parser.add_argument(
            "--days", type=_days, required=True, help="How long ago they ended, at the least."
        )
        parser.add_argument(
            "--waiting-days",
            type=_days,
            help="Delete those too that have waited for their client for so long. Else: never.",
        )
        parser.add_argument(
            "--agent", action="append", default=[], help="Only this agent's; may be repeated."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be deleted, and delete nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say how many of each there were."""
        age = _age(options["days"], options["waiting_days"], options["agent"])
        if options["dry_run"]:
            tasks = age.tasks()
            found = tasks.count(), age.contexts(without=tasks).count()
            self._say("Would delete", *found)
            return
        tasks_deleted = _forget(age.tasks(), age, forget_tasks)
        self._say("Deleted", tasks_deleted, _forget(age.contexts(), age, forget_contexts))

    def _say(self, done: str, tasks: int, conversations: int) -> None:
        self.stdout.write(f"{done}: {tasks} tasks, {conversations} conversations.")


def _age(days: int, waiting_days: int | None, agents: Sequence[str]) -> Age:
    now = timezone.now()
    waiting = None if waiting_days is None else now - timedelta(days=waiting_days)
    return Age(now - timedelta(days=days), waiting, agents)


def _forget(rows: "QuerySet[Any]", age: Age, forget: Callable[[Age, Sequence[UUID]], int]) -> int:
    """Delete rows, a batch at a time, looking at each row once; gives how many."""
    deleted, left = 0, rows.order_by("pk").values_list("pk", flat=True)
    keys = list(left[:BATCH])
    while keys:
        deleted += forget(age, keys)
        keys = list(left.filter(pk__gt=keys[-1])[:BATCH])
    return deleted


def _days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= days <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MOST_DAYS}")
    return days
