"""`manage.py a2a_tail`: see what happens to a task, as it happens."""

import asyncio
from contextlib import aclosing
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import database, models
from a2a_app.client import Event
from a2a_app.feed import Follower, Until
from a2a_app.management.batch_command import INTERRUPTED
from a2a_app.management.terminal import EventPrinter
from a2a_app.models.owners import Scope
from a2a_app.protocol import A2AError, StreamResponse
from a2a_app.store.reads.tasks import position_at


class Command(BaseCommand):
    """Print the events of a task, and then those that come."""

    help = (
        "Print what has happened to a task and what happens to it, until it has ended: texts to "
        "the standard output, states beside it. It may be any owner's."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the task, and where to begin."""
        parser.add_argument("task", help="The task's id.")
        parser.add_argument(
            "--after", type=int, default=0, help="Begin after this event, such as 100."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print them; raise CommandError where there is no such task, or no such event."""
        task = _task(options["task"])
        printer = EventPrinter(self.stdout, self.stderr)
        try:
            asyncio.run(_follow(task, options["after"], printer))
        except (A2AError, ValueError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=INTERRUPTED) from None
        finally:
            printer.end_line()
            database.close()


def _task(text: str) -> models.Task:
    try:
        return models.Task.objects.get(pk=UUID(text))
    except (ValueError, models.Task.DoesNotExist):
        raise CommandError(f"There is no task {text!r}.") from None


async def _follow(task: models.Task, after: int, printer: EventPrinter) -> None:
    scope = Scope(task.agent, task.owner)
    # In the name of the command: it is none of the owner's streams.
    async with Follower(task.pk, owner="command") as follower:
        position = await database.read(position_at, scope, str(task.pk), after)
        async with aclosing(follower.follow(position, Until())) as batches:
            async for events in batches:
                for each in events:
                    response = StreamResponse.model_validate_json(each.body)
                    printer.print(Event(response, each.seq))
