"""`manage.py a2a_worker`: work on turns that come by a queue."""

import asyncio
import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from a2a_app import database, runners


class Command(BaseCommand):
    """Work until it is asked to end, then finish or give up what is under way."""

    help = (
        "Work on turns, as many at once as A2A['MAX_RUNS'] allows, until SIGTERM or Ctrl-C. "
        "Turns under way then get A2A['SHUTDOWN_SECONDS'] to end; the others are given up, for "
        "another worker to begin again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Work; fails where the project's runner has no worker of its own, or no queue."""
        try:
            asyncio.run(_work())
        except (NotImplementedError, ImproperlyConfigured) as refusal:
            raise CommandError(str(refusal)) from None
        finally:
            database.close()


async def _work() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await runners.current().serve(stop)
