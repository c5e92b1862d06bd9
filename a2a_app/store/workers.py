"""Workers: their signs of life, by which others know of those that have no turn now."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.db.models.functions import Now

from a2a_app import models
from a2a_app.database.inserts import insert
from a2a_app.database.values import from_now

# For how long a worker that gives no more signs is known, so that people see that it is gone.
KNOWN = timedelta(hours=1)
_CHANGING = ("runner", "slots", "revisions", "seen_at")


@dataclass(frozen=True, slots=True)
class Sign:
    """What a worker says of itself, as the fields of its row are named."""

    name: str
    runner: str
    slots: int
    revisions: Mapping[str, str]


def sign(of: Sign) -> None:
    """Store by one statement that a worker is alive now."""
    row = {**asdict(of), "begun_at": Now(), "seen_at": Now()}
    insert(models.Worker, [row], overwrite=_CHANGING, unique=("name",))


def sign_off(name: str) -> None:
    """Forget a worker that ends."""
    models.Worker.objects.filter(name=name).delete()


def forget_gone() -> None:
    """Forget workers that have given no sign of life for long."""
    gone = models.Worker.objects.filter(seen_at__lt=from_now(-KNOWN))
    # A look first: on SQLite a change waits for the writers.
    if gone.exists():
        gone.delete()
