"""`manage.py a2a_import_sdk`: take over the tasks that the official SDK's server has stored."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from a2a_app import database, models
from a2a_app.agents import AgentNotFoundError, registry
from a2a_app.management.batch_command import INTERRUPTED
from a2a_app.models.owners import Scope, name_of_user
from a2a_app.protocol import A2AError
from a2a_app.store.imports import import_task

BATCH = 200


class Command(BaseCommand):
    """Take over the tasks in the table of the official SDK's `DatabaseTaskStore`."""

    help = (
        "Take over the tasks that a server of the official SDK has stored in a database. Stop that "
        "server first. The command may be stopped and run again: tasks that are there are left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the URL, --agent, --table, --owner, --names and --dry-run."""
        parser.add_argument("url", help="The database's URL, as SQLAlchemy's engine has it.")
        parser.add_argument("--agent", required=True, help="The slug of the agent they are for.")
        parser.add_argument("--table", default="tasks", help="The table's name.")
        others = parser.add_mutually_exclusive_group()
        others.add_argument(
            "--owner", help="The owner of tasks that are no user's, such as 'user:1' or 'name:ann'."
        )
        others.add_argument(
            "--names", action="store_true", help="Let owners who are no users be callers by name."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Take them over, and print how many there were of each kind.

        Raises:
            CommandError: The agent, the owner, the table or the SDK is not there, or Ctrl-C came.
        """
        try:
            registry.get(options["agent"])
        except AgentNotFoundError as error:
            raise CommandError(str(error)) from None
        counts: Counter[str] = Counter()
        try:
            asyncio.run(self._import(options, counts))
        except KeyboardInterrupt:
            raise CommandError("Stopped. Run it again to go on.", returncode=INTERRUPTED) from None
        finally:
            done = ", ".join(f"{number} {what}" for what, number in counts.items()) or "0 tasks"
            self.stdout.write(f"{'Would import' if options['dry_run'] else 'Imported'}: {done}.")

    async def _import(self, options: dict[str, Any], counts: Counter[str]) -> None:
        try:
            # It needs the SDK, which most projects do not have.
            from a2a_app.management.sdk_tasks import SDKTable
        except ImportError as error:
            raise CommandError(str(error)) from error
        options["user_id"] = await database.read(_user_id_of, options["owner"])
        async with SDKTable.at(options["url"], options["table"]) as table:
            async for rows in table.rows(BATCH):
                for row in rows:
                    counts[await self._take(row, options)] += 1
                self.stderr.write(f"{counts.total()} tasks …")

    async def _take(self, row: Any, options: dict[str, Any]) -> str:
        """Take one task over, and return what has become of it."""
        # As above.
        from a2a_app.management.sdk_tasks import id_of, task_of, time_of

        task_id = id_of(row)
        if await database.read(models.Task.objects.filter(pk=task_id).exists):
            return "there already"
        owner, user_id = await database.read(_owner_of, row.owner or "", options)
        if owner is None:
            return "of nobody who is known"
        try:
            task = task_of(row)
            if not options["dry_run"]:
                scope = Scope(options["agent"], owner)
                await import_task(scope, task_id, task, time_of(row, task), user_id)
        except (A2AError, ValueError) as error:
            self.stderr.write(f"Task {row.id}: {error}")
            return "that cannot be imported"
        return "tasks"


def _owner_of(name: str, options: dict[str, Any]) -> tuple[str | None, Any]:
    """Return the owner, and the user's primary key if it is one."""
    users: Any = get_user_model()._default_manager
    if name and (user := users.filter(**{get_user_model().USERNAME_FIELD: name}).first()):
        return name_of_user(user.pk), user.pk
    if name and options["names"]:
        return f"name:{name}", None
    return options["owner"], options["user_id"]


def _user_id_of(owner: str | None) -> Any:
    """Return the primary key of the user that an owner is; None: it is no user."""
    kind, _, key = (owner or "").partition(":")
    if kind != "user":
        return None
    with suppress(TypeError, ValueError, ValidationError):  # it is no primary key
        if user := get_user_model()._default_manager.filter(pk=key).first():
            return user.pk
    raise CommandError(f"There is no user {key!r}, as --owner says.")
