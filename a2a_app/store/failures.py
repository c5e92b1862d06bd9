"""Failures without a task: noted in memory as they happen, and stored by the next sweep.

So a request that fails costs no statement, and none can fail once more for it. However many fail,
a process stores few with each sweep, and the table keeps few.
"""

from collections import deque
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from a2a_app import logs, models
from a2a_app.database.values import first_key_at, new_key

# How many a process notes until the next sweep. Of more these are the newest.
NOTED = 100
# How many are stored, and for how long.
STORED = 1000
KEPT = timedelta(days=7)
# How many characters of a traceback are stored: there may be many failures at once.
CHARACTERS = 20_000

_noted: deque[models.Failure] = deque(maxlen=NOTED)


def note(traceback: str) -> UUID:
    """Note that the request at work has failed; return the reference for its client.

    Args:
        traceback: What is stored of the failure, of CHARACTERS or little more.
    """
    subject = logs.subject.get()
    failure = models.Failure(
        id=new_key(),
        agent=subject.agent,
        operation=subject.operation,
        error=traceback,
        created_at=timezone.now(),
    )
    _noted.append(failure)
    return failure.id


def store() -> None:
    """Store what this process has noted, and delete what is old or too much.

    What no database takes is raised once, and forgotten.
    """
    noted = _take()
    try:
        models.Failure.objects.bulk_create(noted, ignore_conflicts=True)
    except (InterfaceError, OperationalError):
        # The database is away, and the next sweep tries again. What was noted meanwhile is newer.
        room = NOTED - len(_noted)
        _noted.extendleft(reversed(noted[max(0, len(noted) - room) :]))
        raise
    failures = models.Failure.objects.order_by("pk")
    old = failures.filter(pk__lt=first_key_at(timezone.now() - KEPT))
    # A look first: on SQLite a change waits for the writers.
    if old.exists():
        old.delete()
    newest = failures.reverse().values_list("pk", flat=True)
    if noted and (last := newest[STORED : STORED + 1].first()) is not None:
        failures.filter(pk__lte=last).delete()


def _take() -> list[models.Failure]:
    taken = []
    # Other event loops of the process may take some too.
    with suppress(IndexError):
        while True:
            taken.append(_noted.popleft())
    return taken
