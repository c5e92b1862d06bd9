"""`manage.py a2a_reap`: deal now with the runs whose process is gone."""

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandParser

from a2a_app import runners
from a2a_app.runners.reap import LIMIT, decide, reap
from a2a_app.store import runs


class Command(BaseCommand):
    """Do once and from outside what every serving process does now and then."""

    help = (
        "Begin again, or fail, the turns whose process is gone. A serving process or a worker runs "
        "those that begin again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option --dry-run."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Print what would be done, and do nothing."
        )

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        """Deal with the runs, and print how many of them were dealt with in which way."""
        lost = runs.lost(limit=LIMIT)
        if dry_run:
            for run in lost:
                self.stdout.write(f"{run.task_id} run {run.id}: would be {decide(run)}")
            return
        reaped = async_to_sync(reap)(lost, runners.current().enqueue)
        counts = ", ".join(
            f"{count} {decision}" for decision, count in sorted(reaped.counts.items())
        )
        self.stdout.write(counts or "No run is lost.")
