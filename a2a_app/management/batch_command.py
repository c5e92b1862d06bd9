"""BatchCommand: a command that deals with many rows, and may be stopped and run again."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import conf
from a2a_app.agents import registry
from a2a_app.database import connection
from a2a_app.management.batches import Batches, WeighedKey
from a2a_app.store.archives import ArchiveError

# With many more days the date would be out of range.
MAX_DAYS = 36_500
MAX_CONNECTIONS = 16
# What a process returns that Ctrl-C has ended.
INTERRUPTED = 130


class BatchCommand(BaseCommand):
    """The base of commands that work in batches, and count what they have dealt with."""

    def add_batch_arguments(self, parser: CommandParser, does: str) -> None:
        """Add the options --agent, --connections and --dry-run.

        Args:
            parser: To which they are added.
            does: What the command does with tasks, as the verb of a sentence.
        """
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
            help=f"How many connections {does} at once, 2 by default. On SQLite there is one.",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help=f"Print how many it would {does}, and {does} nothing.",
        )

    def warn_of_unknown(self, agents: Sequence[str]) -> None:
        """Say of agents that the project does not have which may be meant: it may have had them."""
        known = registry.slugs()
        for name in agents:
            if name not in known:
                hint = conf.suggestion(name, known)
                self.stderr.write(f"The project has no agent {name!r}. {hint}".strip())

    @contextmanager
    def counting(self, did: str, done: Mapping[str, int]) -> Iterator[None]:
        """Print at the end what was dealt with, whatever the end is.

        Args:
            did: What was done, as in "Deleted".
            done: How many of each kind.

        Raises:
            CommandError: Ctrl-C came before the end, or a storage has failed.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run it again to go on.", returncode=INTERRUPTED) from None
        except ArchiveError as error:
            raise CommandError(f"{error} Run it again to go on.") from error
        finally:
            self.print_counts(did, done)

    def work(
        self,
        done: Counter[str],
        connections: int,
        keys: Iterator[WeighedKey],
        work: Callable[[Sequence[UUID]], dict[str, int]],
    ) -> None:
        """Deal with rows in batches, add to `done` how many, and show it on a terminal."""

        def report(seconds: float) -> None:
            self.show(f"{_in_words(done)} in {seconds:.0f} s")

        report(0)
        Batches(keys, work, report, done).run(_threads(connections))

    def show(self, progress: str) -> None:
        """Show how far the work is in the one line that a terminal has for it."""
        if self.stdout.isatty():
            self.stdout.write(f"\r{progress:<60}", ending="")
            self.stdout.flush()

    def print_counts(self, did: str, done: Mapping[str, int]) -> None:
        """Print how many of each kind were dealt with."""
        begin = "\r" if self.stdout.isatty() else ""
        self.stdout.write(f"{begin}{did}: {_in_words(done)}.")


def days(text: str, *, least: int = 1) -> int:
    """Read a number of days; raise ArgumentTypeError where there is none."""
    return _whole_number(text, MAX_DAYS, least)


def _in_words(done: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in done.items())


def _threads(connections: int) -> int:
    """Return how many threads may work at once, each with a connection of its own."""
    ours = connection()
    # SQLite has one writer. A caller's open transaction is seen by its own connection only.
    return 1 if ours.vendor == "sqlite" or ours.in_atomic_block else connections


def _connections(text: str) -> int:
    return _whole_number(text, MAX_CONNECTIONS)


def _whole_number(text: str, most: int, least: int = 1) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
    return number
