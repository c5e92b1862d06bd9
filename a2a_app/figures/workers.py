"""The workers that an operator sees: what each says of itself, and the turns that it has."""

from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from django.db.models import BooleanField, Count, ExpressionWrapper, Max, Q
from django.db.models.functions import Now

from a2a_app import conf, models
from a2a_app.database.values import from_now

# How many of them are listed.
LISTED = 100


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that works on turns."""

    name: str
    turns: int
    """How many it works on."""
    seen_at: datetime
    """Its last sign of life: it stored one, renewed a lease or took a turn."""
    lives: bool
    """Whether that was within a lease. Otherwise it ended without a word, or hangs."""
    slots: int | None = None
    """How many turns it works on at once at most; None: it has not yet said so."""
    runner: str = ""
    """How turns come to it: its setting RUNNER."""
    begun_at: datetime | None = None
    revisions: dict[str, str] = field(default_factory=dict)
    """The revisions that its agents declare, by their slugs."""


def read_workers() -> list[Worker]:
    """Read the workers: first those that live, by their names, and at most LISTED of both."""
    held = _held()
    lives = Q(seen_at__gt=from_now(-conf.current().lease_time))
    rows = models.Worker.objects.annotate(
        lives=ExpressionWrapper(lives, output_field=BooleanField())
    )
    known = [
        Worker(
            name=row.name,
            turns=held.pop(row.name, (0,))[0],
            seen_at=row.seen_at,
            lives=row.lives,
            slots=row.slots,
            runner=row.runner,
            begun_at=row.begun_at,
            revisions=row.revisions,
        )
        for row in rows.order_by("-seen_at")[:LISTED]
    ]
    # A worker may have taken a turn before its first sign.
    unknown = [Worker(name, turns, seen_at, True) for name, (turns, seen_at) in held.items()]
    named = sorted([*known, *unknown], key=attrgetter("name"))
    return sorted(named, key=attrgetter("lives"), reverse=True)


def _held() -> dict[str, tuple[int, datetime]]:
    """Return the turns of each worker that has some, and when it took or renewed the last."""
    held = models.Run.objects.filter(lease_until__gt=Now()).exclude(worker="")
    by_worker = held.order_by().values_list("worker").annotate(Count("pk"), Max("lease_until"))
    lease = conf.current().lease_time
    return {
        name: (turns, until - lease) for name, turns, until in by_worker.order_by("worker")[:LISTED]
    }
