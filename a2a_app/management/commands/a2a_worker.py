"""`manage.py a2a_worker`: run turns that a queue brings."""

import asyncio
import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from a2a_app import database, runners


class Command(BaseCommand):
    """Run turns until the process is asked to end, then finish them or give them up.

    A worker hears of new turns by LISTEN, which does nothing through a pooler in transaction mode
    but to leave traces in sessions of others.
    """

    help = (
        "Run turns, at most A2A['MAX_RUNS'] at once, until SIGTERM or Ctrl-C. Turns under way then "
        "get A2A['SHUTDOWN_SECONDS'] to end. If they do not, another worker begins them again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run turns.

        Raises:
            CommandError: The runner has no worker of its own, there is no queue, or a pooler is in
                the way.
        """
        try:
            asyncio.run(_work())
        except (NotImplementedError, ImproperlyConfigured) as refusal:
            raise CommandError(str(refusal)) from None
        finally:
            database.close()


async def _work() -> None:
    if connections[database.alias()].vendor == "postgresql":
        await _refuse_shared_session()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await runners.current().serve(stop)


async def _refuse_shared_session() -> None:
    from a2a_app.layers import session  # loaded here: it needs psycopg

    try:
        await session.check_session(database.alias())
    except session.SharedSessionError as refusal:
        raise CommandError(f"Workers need a direct connection: {refusal}.") from None
