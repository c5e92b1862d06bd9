"""`manage.py a2a_forget`: delete all that belongs to a person."""

from collections import Counter
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.core.management.base import CommandParser

from a2a_app import database
from a2a_app.management.batch_command import BatchCommand
from a2a_app.management.people import add_person, person_of
from a2a_app.runners.canceler import cancel_now
from a2a_app.store.archives import tidy
from a2a_app.store.durable.remote_tasks import unwanted_of
from a2a_app.store.notify import notify
from a2a_app.store.people import Person, cancel, count, forget, unended


class Command(BatchCommand):
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
            self.print_counts("Would delete", count(person))
            return
        done = Counter({"tasks": 0, "conversations": 0, "API keys": 0})
        with self.counting("Deleted", done):
            # So that agents stop at once, and streams end with the reason.
            left = async_to_sync(self._cancel)(person)
            for deleted in forget(person):
                done.update(deleted)
            # What an archive has of the person's tasks.
            tidy()
        if left:
            self.stderr.write(f"{left} tasks of other agents could not be canceled, and may go on.")

    async def _cancel(self, person: Person) -> int:
        """Cancel what is at work, also elsewhere; return how many tasks may go on there."""
        for task_id in await database.run(lambda: list(unended(person))):
            await _end(task_id)
        left = 0
        # Once it is deleted, nothing tells what the person's tasks have asked others.
        for unwanted in await database.run(lambda: unwanted_of(person.tasks())):
            if unwanted.is_local:  # with another owner
                await _end(UUID(unwanted.remote_id))
            elif not await cancel_now(unwanted):
                left += 1
        return left


async def _end(task_id: UUID) -> None:
    appended = await database.run(cancel, task_id)
    if appended is not None:
        await notify(appended)
