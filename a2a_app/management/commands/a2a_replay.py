"""`manage.py a2a_replay`: would the present code do what a turn has done?"""

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from a2a_app import database, models
from a2a_app.agents import Agent, AgentNotFoundError, registry
from a2a_app.database.read_only import read_only
from a2a_app.runners.comparison import Replayed
from a2a_app.runners.replay import record, replay
from a2a_app.store.durable.recordings import Recording

DIFFERS = 1


class Command(BaseCommand):
    """Run an agent's present code against what a turn has led to, and show where it differs."""

    help = (
        "Run the present code of a task's agent against what the task has recorded: its message, "
        "steps, sleeps, events, replies and decisions. Nothing is written, and no step is done. It "
        "prints what the code meets, and exits with 1 where that differs from what was recorded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the task, its turn, and where to export it."""
        parser.add_argument("task", help="The task's id.")
        parser.add_argument(
            "--turn", type=int, help="The number of the turn. Without it: the last one."
        )
        parser.add_argument(
            "--export",
            metavar="FILE",
            help="Write what is recorded to a file for a2a_app.testing.replay, and do no more.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay or export; raise CommandError where there is no such turn or agent."""
        task = _task(options["task"])
        try:
            agent = registry.get(task.agent)
            recording = asyncio.run(_record(task, options["turn"], agent))
        except (LookupError, AgentNotFoundError) as error:
            raise CommandError(str(error)) from error
        if options["export"]:
            Path(options["export"]).write_text(recording.to_text())
            self.stdout.write(f"Wrote turn {recording.turn} of task {task.pk}.")
            return
        self._title(task, agent, recording)
        with read_only():
            replayed = asyncio.run(_replay(agent, recording, task.user))
        self.stdout.write(str(replayed))
        if not replayed.is_same:
            sys.exit(DIFFERS)

    def _title(self, task: models.Task, agent: Agent, recording: Recording) -> None:
        revisions = ""
        if recording.revision or agent.revision:
            revisions = f", begun under revision {recording.revision!r}, now {agent.revision!r}"
        self.stdout.write(f"Turn {recording.turn} of task {task.pk}, {agent.slug}{revisions}:")


def _task(text: str) -> models.Task:
    try:
        return models.Task.objects.select_related("user").get(pk=UUID(text))
    except (ValueError, models.Task.DoesNotExist):
        raise CommandError(f"There is no task {text!r}.") from None


async def _record(task: models.Task, turn: int | None, agent: Agent) -> Recording:
    try:
        return await record(task.pk, turn, of_last_attempt=not agent.durable)
    finally:
        database.close()


async def _replay(agent: Agent, recording: Recording, user: Any) -> Replayed:
    # What the thread for Django's own asynchronous methods has open is not guarded.
    await sync_to_async(connections.close_all)()
    try:
        return await replay(agent, recording, user=user)
    finally:
        database.close()
