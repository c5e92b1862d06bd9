"""`manage.py a2a_prune`: delete tasks and conversations that are over and old."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import F, Value
from django.utils import timezone

from a2a_app.database import connection
from a2a_app.management.batches import Batches, WeighedKey, weighed_keys
from a2a_app.store.prune import Age, Forgotten, forget, forget_contexts

# With many more days the date would be out of range.
MAX_DAYS = 36_500
MAX_CONNECTIONS = 16
# What a process returns that Ctrl-C has ended.
INTERRUPTED = 130


class Command(BaseCommand):
    """Delete tasks that ended long ago, and conversations in which nothing else is left."""

    help = (
        "Delete tasks that ended long ago, with their messages, artifacts, files and log, and "
        "conversations in which nothing else is left. It may be stopped and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options --days, --waiting-days, --agent, --connections and --dry-run."""
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
            "--connections",
            type=_connections,
            default=2,
            help="How many connections delete at once, 2 by default. On SQLite there is one.",
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
        done: Counter[str] = Counter()
        threads = _threads(options["connections"])
        try:
            old = weighed_keys(age.tasks(), F("seq"))
            self._delete(done, threads, old, lambda keys: forget(age, keys))
            # Those that had answers only, or of which another process has deleted the last task.
            empty = weighed_keys(age.contexts(), Value(0))
            self._delete(
                done, threads, empty, lambda keys: Forgotten(0, forget_contexts(age, keys))
            )
        except KeyboardInterrupt:
            self._print("Deleted", done["tasks"], done["conversations"])
            raise CommandError("Stopped. Run it again to go on.", returncode=INTERRUPTED) from None
        self._print("Deleted", done["tasks"], done["conversations"])

    def _delete(
        self,
        done: Counter[str],
        threads: int,
        keys: Iterator[WeighedKey],
        work: Callable[[Sequence[UUID]], Forgotten],
    ) -> None:
        """Delete rows in batches, and add to `done` how many were deleted."""

        def report(seconds: float) -> None:
            if self.stdout.isatty():
                counts = f"{done['tasks']} tasks, {done['conversations']} conversations"
                self.stdout.write(f"\r{counts} in {seconds:.0f} s", ending="")
                self.stdout.flush()

        def counted(keys: Sequence[UUID]) -> dict[str, int]:
            return work(keys)._asdict()

        Batches(keys, counted, report, done).run(threads)

    def _print(self, done: str, tasks: int, conversations: int) -> None:
        begin = "\r" if self.stdout.isatty() else ""
        self.stdout.write(f"{begin}{done}: {tasks} tasks, {conversations} conversations.")


def _threads(connections: int) -> int:
    """Return how many threads may work at once, each with a connection of its own."""
    ours = connection()
    # SQLite has one writer. A caller's open transaction is seen by its own connection only.
    return 1 if ours.vendor == "sqlite" or ours.in_atomic_block else connections


def _days(text: str) -> int:
    """Read a number of days; raise ArgumentTypeError where there is none."""
    return _whole_number(text, MAX_DAYS)


def _connections(text: str) -> int:
    return _whole_number(text, MAX_CONNECTIONS)


def _whole_number(text: str, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {most}")
    return number


def _age(ended: int, waiting_days: int | None, agents: Sequence[str]) -> Age:
    now = timezone.now()
    waiting = None if waiting_days is None else now - timedelta(days=waiting_days)
    return Age(now - timedelta(days=ended), waiting, agents)
