"""`manage.py a2a_forget`: delete all that belongs to a person."""

from collections import Counter
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import database
from a2a_app.management.batch_command import INTERRUPTED
from a2a_app.management.people import add_person, person_of
from a2a_app.store.archives import ArchiveError, tidy
from a2a_app.store.notify import notify
from a2a_app.store.people import Person, cancel, count, forget, unended


class Command(BaseCommand):
    """Delete a person's tasks, conversations, files and API keys."""

    help = (
        "Delete all that belongs to a person: tasks in any state with their messages, artifacts, "
        "files and log, conversations with what agents remember of them, webhooks, idempotency "
        "keys and API keys. It may be stopped and run again. The user stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options --user, --owner and --dry-run."""
        add_person(parser)
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Print how much would be deleted, and delete nothing.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Cancel what is at work, delete everything, and print how much it was."""
        person = person_of(options)
        if options["dry_run"]:
            self._print("Would delete", count(person))
            return
        done: Counter[str] = Counter()
        try:
            # So that agents stop at once, and streams end with the reason.
            async_to_sync(self._cancel)(person)
            for deleted in forget(person):
                done.update(deleted)
            # What an archive has of the person's tasks.
            tidy()
        except KeyboardInterrupt:
            self._print("Deleted", done)
            raise CommandError("Stopped. Run it again to go on.", returncode=INTERRUPTED) from None
        except ArchiveError as error:
            self._print("Deleted", done)
            raise CommandError(f"{error} Run it again to go on.") from error
        self._print("Deleted", done)

    async def _cancel(self, person: Person) -> None:
        for task_id in await database.run(lambda: list(unended(person))):
            appended = await database.run(cancel, task_id)
            if appended is not None:
                await notify(appended)

    def _print(self, done: str, counts: "Counter[str]") -> None:
        kinds = ("tasks", "conversations", "API keys")
        self.stdout.write(f"{done}: {', '.join(f'{counts[kind]} {kind}' for kind in kinds)}.")
