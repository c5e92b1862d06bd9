"""`manage.py a2a_export`: write all that belongs to a person."""

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app.management.export import write_export
from a2a_app.management.people import add_person, person_of

# Nobody else on this machine reads it.
MODE = 0o600


class Command(BaseCommand):
    """Write a person's tasks, conversations, files and API keys as a zip."""

    help = "Write all that belongs to a person as a zip of JSON lines and files."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options --user, --owner and --output."""
        add_person(parser)
        parser.add_argument(
            "--output",
            required=True,
            help="The file to write, which must not be there yet; '-' is the standard output.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the zip, and tell on the standard error how many rows it has."""
        person = person_of(options)
        output = options["output"]
        if output == "-":
            counts = write_export(person, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            counts = self._write_file(person, Path(output))
        missing = counts.pop("missing")
        named = ", ".join(f"{number} {name}" for name, number in counts.items())
        self.stderr.write(f"Written: {named}.")
        if missing:
            raise CommandError(f"The storage has lost {missing} of the files.")

    def _write_file(self, person: Any, path: Path) -> dict[str, int]:
        try:
            target = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        try:
            with target:
                return write_export(person, target)
        except BaseException:
            # Half an export would look like a whole one.
            path.unlink(missing_ok=True)
            raise
