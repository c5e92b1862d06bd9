"""The quota: what owners have stored, how many turns they have, and which limits refuse them."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.utils import timezone

from a2a_app import models
from a2a_app.database import atomic
from a2a_app.database.inserts import insert
from a2a_app.models.owners import queues_of
from a2a_app.store.writes import rows


@dataclass(frozen=True, slots=True)
class OwnerUsage:
    """What an owner has at present."""

    stored: int
    """How many bytes."""
    running: int
    """How many turns are worked on."""
    waiting: int
    """How many turns wait."""


def note_refusal(owner: str, limit: str) -> None:
    """Store that a limit has refused an owner, for the admin."""
    first = {**rows.stored_bytes(owner, 0), "part": 0}
    with atomic():
        insert(
            models.StoredBytes, [first], overwrite=("stored",), unique=("owner", "part"), adds=True
        )
        models.StoredBytes.objects.filter(owner=owner, part=0).update(
            refused_by=limit, refused_at=timezone.now()
        )


def stored_by(owners: Collection[str]) -> dict[str, int]:
    """Return how many bytes each of some owners has stored."""
    found = models.StoredBytes.objects.filter(owner__in=owners).values_list("owner")
    return dict(found.annotate(total=Sum("stored")))


def usage_of(owner: str) -> OwnerUsage:
    """Return what an owner has stored, and how many turns it has."""
    begun = Q(started_at__isnull=False)
    # By the index of leases, which only turns that are not over have.
    turns = models.Run.objects.filter(
        lease_until__isnull=False, ended_at=None, queue__range=queues_of(owner)
    ).aggregate(running=Count("pk", filter=begun), waiting=Count("pk", filter=~begun))
    return OwnerUsage(stored_by([owner]).get(owner, 0), turns["running"], turns["waiting"])
