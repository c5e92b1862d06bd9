"""`manage.py a2a_status`: how the site does, for people and for monitors."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error
from django.utils.timezone import localtime

from a2a_app import figures
from a2a_app.figures.current import COUNTED
from a2a_app.pages.states import words

TITLES = {
    "running": "turns running",
    "queued": "turns waiting for a worker",
    "lost": "turns that lost their worker",
    "waiting_for_input": "tasks waiting for an answer",
    "waiting_for_auth": "tasks waiting for authorization",
    "failed_today": "tasks failed of those begun today",
    "webhooks_failing": "webhooks failing",
    "webhooks_given_up": "webhooks given up",
}


class Command(BaseCommand):
    """Print what runs, waits and fails, and exit with 1 or 2 where somebody should look."""

    help = (
        "Print what runs, waits and fails. The exit code is for monitoring: 0 fine, 1 warning, 2 "
        "critical; 2 also where the database does not answer."
    )
    # It must answer in an emergency, and `check` says the rest.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option --json."""
        parser.add_argument("--json", action="store_true", help="Print the figures as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the figures, and exit by how they are."""
        try:
            found = figures.read()
        except Error as error:
            # Its first line: drivers add what they have tried.
            reason = str(error).partition("\n")[0]
            self._end(options["json"], figures.Level.CRITICAL, f"No answer: {reason}", {})
        concerns = figures.concerns_of(found)
        level = figures.worst_of(concerns)
        if not options["json"]:
            self.stdout.writelines(f"{line}\n" for line in _lines(found))
        text = " ".join(concern.text for concern in concerns) or "All is well."
        self._end(options["json"], level, text, asdict(found))

    def _end(self, as_json: bool, level: figures.Level, text: str, found: dict[str, Any]) -> None:
        if as_json:
            told = {"level": level.name.lower(), "text": text, **found}
            self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder, indent=2))
        else:
            self.stdout.write(f"{level.name}: {text}")
        if level:
            sys.exit(level)


def _lines(found: figures.Figures) -> Iterator[str]:
    for name, title in TITLES.items():
        count = getattr(found, name)
        yield f"{'more than ' if count > COUNTED else ''}{min(count, COUNTED):,} {title}"
    yield f"{found.queue_seconds:.0f} s since the oldest of the waiting turns came"
    yield f"{found.history.events_per_second:.1f} events a second"
    for worker in found.workers:
        yield _line_of(worker)
    for revision in found.revisions:
        yield (
            f"agent {revision.agent}, revision {revision.name}: {revision.turns} turns under way, "
            f"{revision.waiting} of them wait for a worker"
            f"{'' if revision.is_here else '; its code is not here'}"
        )
    for agent in found.history.agents:
        yield (
            f"agent {agent.agent}: {agent.tasks} tasks ended, half of them within "
            f"{agent.median:.2f} s, 95 % within {agent.percentile95:.2f} s"
        )
    for hour in found.history.hours:
        if hour.states:
            counts = ", ".join(f"{count} {words(state)}" for state, count in hour.states.items())
            yield f"{localtime(hour.begin):%H:%M}  {counts}"


def _line_of(worker: figures.Worker) -> str:
    slots = "" if worker.slots is None else f" of {worker.slots}"
    by = f", {worker.runner}" if worker.runner else ""
    since = f", since {localtime(worker.begun_at):%Y-%m-%d %H:%M:%S}" if worker.begun_at else ""
    code = "".join(f", {slug} {revision}" for slug, revision in sorted(worker.revisions.items()))
    seen = (
        f"seen {localtime(worker.seen_at):%H:%M:%S}"
        if worker.lives
        else (f"GONE: last seen {localtime(worker.seen_at):%H:%M:%S}")
    )
    return f"worker {worker.name}: {worker.turns}{slots} turns{by}{since}{code}, {seen}"
