"""The directory: agents elsewhere that staff has registered, by the names that the project has."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from a2a_app.agents.catalog import Json, listing_of
from a2a_app.database.values import escape_unstorable, from_now
from a2a_app.models import DirectoryEntry
from a2a_app.protocol import AgentCard
from a2a_app.store import retention

VISITS = "visits to the directory"
LISTED = 1000
"""How many agents elsewhere a catalog lists. Whoever has more runs a registry of its own."""
MAX_CARD_BYTES = 256 * 1024
# Others write the cards, and a catalog has many: so no entry may be long.
MAX_TEXTS, MAX_CHARACTERS = 20, 500


class LargeCardError(ValueError):
    """A card is too large for the directory."""


@dataclass(frozen=True, slots=True)
class Known:
    """An agent in the directory, as far as a client has to know."""

    name: str
    url: str
    signature: str
    """As in REMOTE_AGENTS: `check`, `require` or `ignore`."""
    key: str
    """The public key of its card's signatures; empty for those that its own host has."""


def find(name: str) -> Known | None:
    """Return the agent that the directory has under a name."""
    found = DirectoryEntry.objects.filter(name=name).values_list("name", "url", "signature", "key")
    return next((Known(*row) for row in found), None)


def overdue(seconds: float, limit: int) -> list[str]:
    """Return the names of agents that nobody has looked at for so long, the longest ago first.

    Args:
        seconds: For how long.
        limit: How many names are wanted at most.
    """
    long_ago = Q(checked_at=None) | Q(checked_at__lt=from_now(timedelta(seconds=-seconds)))
    rows = DirectoryEntry.objects.filter(long_ago)
    ordered = rows.order_by(F("checked_at").asc(nulls_first=True), "name")
    return list(ordered.values_list("name", flat=True)[:limit])


def claim_visits() -> bool:
    """Take the visits that are due for this process; return False where another one has them."""
    return retention.claim(VISITS)


def release_visits() -> None:
    """Let any process take the next visits."""
    retention.release(VISITS)


def names() -> list[str]:
    """Return the names of all agents in the directory."""
    return list(DirectoryEntry.objects.order_by("name").values_list("name", flat=True))


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of an agent in the directory."""

    card: AgentCard
    card_url: str
    identifier: str
    """The one of its publisher's own catalog; empty if that does not have the agent."""


def listed() -> list[tuple[UUID, str, Json]]:
    """Return the public agents that were found: key, identifier and what a catalog says of it."""
    public = DirectoryEntry.objects.filter(is_public=True, listing__isnull=False)
    found = public.order_by("pk").values_list("pk", "identifier", "listing")[:LISTED]
    return [(key, identifier, listing) for key, identifier, listing in found if listing]


def note_found(name: str, found: Found) -> None:
    """Store what was found of an agent that answers as it must.

    Raises:
        LargeCardError: The card has more than MAX_CARD_BYTES.
    """
    card = found.card
    if len(card.to_json().encode()) > MAX_CARD_BYTES:
        raise LargeCardError(f"The card has more than {MAX_CARD_BYTES} bytes.")
    _of(name).update(
        card=card.to_dict(),
        card_url=found.card_url,
        identifier=found.identifier[:MAX_CHARACTERS],
        listing=_bounded(listing_of(card, found.card_url)),
        checked_at=Now(),
        failing_since=None,
        error="",
    )


def note_failure(name: str, reason: str) -> None:
    """Note that an agent does not answer as it must; what was found before stays."""
    _of(name).update(
        checked_at=Now(),
        failing_since=Coalesce("failing_since", Now()),
        error=escape_unstorable(reason[:MAX_CHARACTERS]),
    )


def _of(name: str) -> "QuerySet[DirectoryEntry]":
    return DirectoryEntry.objects.filter(name=name)


def _bounded(value: Any) -> Any:
    match value:
        case str():
            return value[:MAX_CHARACTERS]
        case list():
            return [_bounded(each) for each in value[:MAX_TEXTS]]
        case dict():
            return {name: _bounded(each) for name, each in value.items()}
    return value
