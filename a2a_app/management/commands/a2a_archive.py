"""`manage.py a2a_archive`: move the logs of tasks that ended long ago into files."""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.files.storage import InvalidStorageError
from django.core.management.base import CommandError, CommandParser
from django.db.models import F, Sum
from django.utils import timezone

from a2a_app import conf
from a2a_app.files.storage import get_storage
from a2a_app.management.batch_command import BatchCommand, days
from a2a_app.management.batches import weighed_keys
from a2a_app.store.archives import archivable, archive_logs, open_log, tidy
from a2a_app.store.log_files import lines_of
from a2a_app.store.prune import Age, Whose


class Command(BatchCommand):
    """Move the events of tasks that ended long ago into files, or print those of a task."""

    help = (
        "Move the events of tasks that ended long ago out of the database, into compressed files "
        "of a storage. The tasks stay as they are. It may be stopped and run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options --days, --read, --storage, --agent, --connections and --dry-run."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--days", type=days, help="Archive tasks that ended at least so many days ago."
        )
        which.add_argument(
            "--read",
            type=UUID,
            metavar="TASK",
            help="Print the events that an archive has of this task, each as a line of JSON.",
        )
        parser.add_argument(
            "--storage",
            help="The alias in STORAGES of the storage for the files. By default that for files.",
        )
        self.add_batch_arguments(parser, "archive")

    def handle(self, *args: Any, **options: Any) -> None:
        """Archive them, and print how many tasks and events there were."""
        if options["read"] is not None:
            self._print_log(options["read"])
            return
        self.warn_of_unknown(options["agent"])
        age = Age(
            timezone.now() - timedelta(days=options["days"]), whose=Whose(agents=options["agent"])
        )
        if options["dry_run"]:
            tasks = archivable(age)
            events = tasks.aggregate(events=Sum("seq"))["events"] or 0
            self.print_counts("Would archive", {"tasks": tasks.count(), "events": events})
            return
        storage = _storage(options["storage"])
        done = Counter(tasks=0, events=0)
        with self.counting("Archived", done):
            self.work(
                done,
                options["connections"],
                weighed_keys(archivable(age), F("seq")),
                lambda keys: archive_logs(age, keys, storage)._asdict(),
            )
            # What tasks deleted meanwhile, and processes that died, have left behind.
            tidy()

    def _print_log(self, task_id: UUID) -> None:
        try:
            log = open_log(task_id)
        except LookupError as error:
            raise CommandError(*error.args) from None
        for line in lines_of(log.content.read()):
            self.stdout.write(line, ending="")


def _storage(alias: str | None) -> str:
    """Return the storage's alias, and raise CommandError where there is no such storage."""
    chosen = conf.current().storage if alias is None else alias
    try:
        get_storage(chosen)
    except InvalidStorageError as error:
        raise CommandError(*error.args) from None
    return chosen
