"""`manage.py a2a_worker`: run turns that a queue brings."""

import asyncio
import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from a2a_app import database, runners


class Command(BaseCommand):
    """Run turns until the process is asked to end, then finish them or give them up."""

    help = (
        "Run turns, at most A2A['MAX_RUNS'] at once, until SIGTERM or Ctrl-C. Turns under way then "
        "get A2A['SHUTDOWN_SECONDS'] to end. If they do not, another worker begins them again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run turns; raise CommandError if the runner has no worker of its own, or no queue."""
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
