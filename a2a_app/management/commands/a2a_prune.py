"""`manage.py a2a_prune`: delete tasks and conversations that are over and old."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser
from django.db.models import F, Value
from django.utils import timezone

from a2a_app.management.batch_command import BatchCommand, days
from a2a_app.management.batches import weighed_keys
from a2a_app.store.archives import tidy
from a2a_app.store.prune import Age, forget, forget_contexts


class Command(BatchCommand):
    """Delete tasks that ended long ago, and conversations in which nothing else is left."""

    help = (
        "Delete tasks that ended long ago, with their messages, artifacts, files and log, and "
        "conversations in which nothing else is left. It may be stopped and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options --days, --waiting-days, --agent, --connections and --dry-run."""
        parser.add_argument(
            "--days",
            type=days,
            required=True,
            help="Delete tasks that ended at least so many days ago.",
        )
        parser.add_argument(
            "--waiting-days",
            type=days,
            help="Also delete tasks that have waited for their client for so many days.",
        )
        self.add_batch_arguments(parser, "delete")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them, and print how many tasks and conversations there were."""
        age = _age(options["days"], options["waiting_days"], options["agent"])
        if options["dry_run"]:
            tasks = age.tasks()
            contexts = age.contexts(without=tasks).count()
            self.print_counts("Would delete", {"tasks": tasks.count(), "conversations": contexts})
            return
        done = Counter(tasks=0, conversations=0)

        def forget_empty(keys: Sequence[UUID]) -> dict[str, int]:
            return {"conversations": forget_contexts(age, keys)}

        with self.counting("Deleted", done):
            old = weighed_keys(age.tasks(), F("seq"))
            self.work(done, options["connections"], old, lambda keys: forget(age, keys)._asdict())
            # Those that had answers only, or of which another process has deleted the last task.
            empty = weighed_keys(age.contexts(), Value(0))
            self.work(done, options["connections"], empty, forget_empty)
            # What an archive has of the deleted tasks.
            tidy()


def _age(ended: int, waiting_days: int | None, agents: Sequence[str]) -> Age:
    now = timezone.now()
    waiting = None if waiting_days is None else now - timedelta(days=waiting_days)
    return Age(now - timedelta(days=ended), waiting, agents)
