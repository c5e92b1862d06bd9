"""`manage.py a2a_send`: say something to an agent, and see its answer as it comes."""

import asyncio
from contextlib import aclosing
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import conf, database, directory, protocol, runners
from a2a_app.agents import registry
from a2a_app.client import RemoteAgent, RemoteAgentError, UnreachableError
from a2a_app.management.batch_command import INTERRUPTED
from a2a_app.management.people import user_named
from a2a_app.management.terminal import EventPrinter


class Command(BaseCommand):
    """Send a message, and print the stream."""

    help = (
        "Say something to an agent of this project, to one of A2A['REMOTE_AGENTS'] or to a URL, "
        "and print its answer as it comes: texts to the standard output, states beside it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the agent, the text, and who says it."""
        parser.add_argument(
            "agent", help="Its slug, its name in REMOTE_AGENTS or in the directory, or a URL."
        )
        parser.add_argument("text", help="What is said to it.")
        parser.add_argument("--user", help="In whose name: a user, by name or primary key.")
        parser.add_argument("--task", default="", help="The task that it belongs to.")
        parser.add_argument("--context", default="", help="The conversation that it belongs to.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send it; raise CommandError where the agent refuses, or does not answer."""
        name = options["agent"]
        user = user_named(options["user"]) if options["user"] else None
        agent = RemoteAgent(name, user=user)
        place = {"task": options["task"], "context_id": options["context"]}
        printer = EventPrinter(self.stdout, self.stderr)
        try:
            asyncio.run(_send(agent, options["text"], place, printer))
        except (protocol.A2AError, RemoteAgentError, UnreachableError) as error:
            printer.end_line()
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=INTERRUPTED) from None
        finally:
            database.close()


async def _check_name(name: str) -> None:
    """Raise CommandError where a name is that of no agent."""
    known = [*registry.slugs(), *conf.current().remote_agents]
    if "://" in name or name in known:
        return
    known += await database.read(directory.names)
    if name not in known:
        hint = conf.suggestion(name, known)
        raise CommandError(f"There is no agent {name!r}. {hint}".strip())


async def _send(
    agent: RemoteAgent, text: str, place: dict[str, str], printer: EventPrinter
) -> None:
    await _check_name(agent.name)
    how: Any = {name: value for name, value in place.items() if value}
    try:
        async with agent, aclosing(agent.stream(text, **how)) as events:
            async for event in events:
                printer.print(event)
        printer.end_line()
    finally:
        await runners.current().end()
