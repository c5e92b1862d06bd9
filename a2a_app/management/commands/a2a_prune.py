"""`manage.py a2a_prune`: delete tasks and conversations that are over and old."""

import argparse
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import QuerySet
from django.utils import timezone

from a2a_app.store.prune import Age, forget_contexts, forget_tasks

# How many rows one transaction deletes. Few, since a task may have many events.
BATCH = 100
# With many more days the date would be out of range.
MAX_DAYS = 36_500


class Command(BaseCommand):
    """Delete tasks that ended long ago, and conversations in which nothing else is left."""

    help = (
        "Delete tasks that ended long ago, with their messages, artifacts, files and log, and "
        "conversations in which nothing else is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options --days, --waiting-days, --agent and --dry-run."""
        parser.add_argument(
            "--days",
            type=_days,
            required=True,
            help="Delete tasks that ended at least so many days ago.",
        )
        parser.add_argument(
            "--waiting-days",
            type=_days,
            help="Also delete tasks that have waited for their client for so many days.",
        )
        parser.add_argument(
            "--agent",
            action="append",
            default=[],
            help="Only tasks of this agent. May be repeated.",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Print how many would be deleted, and delete nothing.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them, and print how many tasks and conversations there were."""
        age = _age(options["days"], options["waiting_days"], options["agent"])
        if options["dry_run"]:
            tasks = age.tasks()
            self._print("Would delete", tasks.count(), age.contexts(without=tasks).count())
            return
        tasks_deleted = _forget(age.tasks(), age, forget_tasks)
        self._print("Deleted", tasks_deleted, _forget(age.contexts(), age, forget_contexts))

    def _print(self, done: str, tasks: int, conversations: int) -> None:
        self.stdout.write(f"{done}: {tasks} tasks, {conversations} conversations.")


def _age(days: int, waiting_days: int | None, agents: Sequence[str]) -> Age:
    now = timezone.now()
    waiting = None if waiting_days is None else now - timedelta(days=waiting_days)
    return Age(now - timedelta(days=days), waiting, agents)


def _forget(rows: "QuerySet[Any]", age: Age, forget: Callable[[Age, Sequence[UUID]], int]) -> int:
    """Delete rows in batches, looking at each row once; return how many were deleted."""
    deleted, all_keys = 0, rows.order_by("pk").values_list("pk", flat=True)
    keys = list(all_keys[:BATCH])
    while keys:
        deleted += forget(age, keys)
        keys = list(all_keys.filter(pk__gt=keys[-1])[:BATCH])
    return deleted


def _days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= days <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {MAX_DAYS}")
    return days
