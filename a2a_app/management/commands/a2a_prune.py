"""`manage.py a2a_prune`: delete tasks and conversations that are over and old."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.db.models import F, Value
from django.utils import timezone

from a2a_app import conf
from a2a_app.conf import PRUNABLE_STATES
from a2a_app.management.batch_command import BatchCommand, days
from a2a_app.management.batches import weighed_keys
from a2a_app.protocol import TaskState
from a2a_app.store import retention
from a2a_app.store.archives import tidy
from a2a_app.store.budgets import forget_old_spending
from a2a_app.store.prune import Age, Whose, forget, forget_contexts


class Command(BatchCommand):
    """Delete tasks that ended long ago, and conversations in which nothing else is left."""

    help = (
        "Delete tasks that ended long ago, with their messages, artifacts, files and log, and "
        "conversations in which nothing else is left. It may be stopped and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options that say what is old, --connections and --dry-run."""
        old = parser.add_mutually_exclusive_group(required=True)
        old.add_argument(
            "--days", type=days, help="Delete tasks that ended at least so many days ago."
        )
        old.add_argument(
            "--policy", action="store_true", help="Delete what the setting RETENTION does not keep."
        )
        parser.add_argument(
            "--waiting-days",
            type=days,
            help="Also delete tasks that have waited for their client for so many days.",
        )
        parser.add_argument(
            "--owner",
            action="append",
            default=[],
            help="Only tasks of this owner, as the admin shows it. May be repeated.",
        )
        parser.add_argument(
            "--state",
            action="append",
            default=[],
            choices=PRUNABLE_STATES,
            help="Only tasks in this state. May be repeated.",
        )
        self.add_batch_arguments(parser, "delete")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them, and print how many tasks and conversations there were."""
        self.warn_of_unknown(options["agent"])
        found = _policy(options) if options["policy"] else [_age(options)]
        done = Counter(tasks=0, conversations=0)
        if options["dry_run"]:
            for age in found:
                tasks = age.tasks()
                conversations = age.contexts(without=tasks)
                done.update(tasks=tasks.count(), conversations=conversations.count())
            self.print_counts("Would delete", done)
            return
        with self.counting("Deleted", done):
            for age in found:
                self._prune(age, done, options["connections"])
            # What an archive has of the deleted tasks.
            self.show("Looking through the archives")
            tidy()
            forget_old_spending()

    def _prune(self, age: Age, done: "Counter[str]", connections: int) -> None:
        """Delete what is old, and add to `done` how much it was."""

        def forget_empty(keys: Sequence[UUID]) -> dict[str, int]:
            return {"conversations": forget_contexts(age, keys)}

        old = weighed_keys(age.tasks(), F("seq"))
        self.work(done, connections, old, lambda keys: forget(age, keys)._asdict())
        # Those that had answers only, or of which another process has deleted the last task.
        empty = weighed_keys(age.contexts(), Value(0))
        self.work(done, connections, empty, forget_empty)


def _age(options: dict[str, Any]) -> Age:
    now = timezone.now()
    days = options["waiting_days"]
    waiting = None if days is None else now - timedelta(days=days)
    states = [TaskState[name.upper()] for name in options["state"]]
    if waiting is None and any(state.is_interrupted for state in states):
        raise CommandError("Tasks that wait for their client need --waiting-days.")
    whose = Whose(options["agent"], options["owner"], states)
    return Age(now - timedelta(days=options["days"]), waiting, whose)


def _policy(options: dict[str, Any]) -> list[Age]:
    if any(options[each] for each in ("waiting_days", "agent", "owner", "state")):
        raise CommandError("--policy goes with none of the options that say what is old.")
    if not conf.current().retention:
        raise CommandError(f"{conf.NAME}['RETENTION'] is empty.")
    return retention.ages(timezone.now())
