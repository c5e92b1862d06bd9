"""`manage.py a2a_reap`: deal now with the runs whose process is gone."""

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandParser

from a2a_app import runners
from a2a_app.runners.reap import LIMIT, fate_of, reap
from a2a_app.store import runs


class Command(BaseCommand):
    """Do what every serving process does now and then, once and from outside."""

    help = (
        "Begin again, or fail, the runs whose process gives no sign of life any more. "
        "A worker takes up those that are begun again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --dry-run."""
        parser.add_argument(
            "--dry-run", action="store_true", help="Say what would be done, and do nothing."
        )

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        """Do it, and say how many runs met which fate."""
        if dry_run:
            for run in runs.lost(limit=LIMIT):
                self.stdout.write(f"{run.task_id} run {run.id}: would be {fate_of(run)}")
            return
        reaped = async_to_sync(reap)(runners.current().enqueue)
        told = ", ".join(f"{number} {fate}" for fate, number in sorted(reaped.met.items()))
        self.stdout.write(told or "No run is lost.")
