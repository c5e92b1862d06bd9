"""`manage.py a2a_directory`: list the agents elsewhere, and look whether they are well."""

from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import directory
from a2a_app.client.visits import visit_all
from a2a_app.models import DirectoryEntry


class Command(BaseCommand):
    """Print what is known of each agent in the directory, after a look at it if that is wanted."""

    help = "List the agents in the directory, and how they do. With --refresh, look at them first."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the names and --refresh."""
        parser.add_argument("names", nargs="*", help="Only these agents.")
        parser.add_argument(
            "--refresh", action="store_true", help="Fetch and verify their cards, and store them."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each agent; fail if one of those that were looked at is not well."""
        names = options["names"] or directory.names()
        if unknown := sorted(set(names).difference(directory.names())):
            raise CommandError(f"The directory has no {', '.join(unknown)}.")
        wrong = async_to_sync(visit_all)(names) if options["refresh"] else {}
        for row in DirectoryEntry.objects.filter(name__in=names).order_by("name"):
            self.stdout.write(f"{row.name}\t{row.url}\t{_state(row)}")
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(names)} do not answer as they must.")


def _state(row: DirectoryEntry) -> str:
    if row.checked_at is None:
        return "not looked at yet"
    if row.failing_since is None:
        return "well"
    return f"fails since {row.failing_since:%Y-%m-%d %H:%M}: {row.error}"
