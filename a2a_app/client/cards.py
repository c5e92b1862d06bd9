"""Cards of agents elsewhere, which this process keeps for as long as they say (section 8.6).

They are kept as they are read and checked, by the rules of RFC 9111 for a cache of one client.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from a2a.client.card_resolver import parse_agent_card
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format

from a2a_app import conf
from a2a_app.agents.signing import SignatureError
from a2a_app.client.refusals import RemoteAgentError
from a2a_app.client.signatures import verify_signature
from a2a_app.protocol import AgentCard, InvalidParamsError

CARD_PATH = ".well-known/agent-card.json"
OLD_CARD_PATH = ".well-known/agent.json"

# What is kept, in number, of each card, and for how long whatever its server says. Others write
# the cards: at their worst these are some tens of megabytes.
MOST_CARDS = 100
MOST_BYTES = 32 * 1024
MOST_SECONDS = 3600

Get = Callable[[str, Mapping[str, str]], Awaitable[httpx.Response]]
"""Sends a request with more headers, and returns the response."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it was received, whose signature was right where one is wanted."""

    url: str
    """Where it was found."""
    json: Any
    """What was received."""
    sdk_card: pb.AgentCard
    """The same for the SDK, of any version."""
    card: AgentCard
    """The same in the form of 1.0."""
    etag: str
    until: float
    """Until when it is used without asking whether there is another one, by `time.monotonic`."""

    @property
    def is_fresh(self) -> bool:
        """Tell whether it is used without asking."""
        return time.monotonic() < self.until

    @classmethod
    def of(cls, response: httpx.Response) -> "Card":
        """Return the card that a response has."""
        card = parse_agent_card(response.json())  # it changes what it is given
        shown = json_format.MessageToDict(card, always_print_fields_with_no_presence=True)
        return cls(
            url=str(response.url),
            json=response.json(),
            sdk_card=card,
            card=AgentCard.from_dict(shown),
            etag=response.headers.get("ETag", ""),
            until=until(response.headers),
        )


@dataclass(frozen=True, slots=True)
class CardSource:
    """Where a card is from, and how it is asked for. No other source gets what is kept of it."""

    name: str
    """The name of the agent in the settings or in the directory, or its URL."""
    url: str
    """The URL of the agent, or of its card."""
    is_trusted: bool
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """What each request to the agent has in its header."""
    signature: str
    public_key: str
    keeps: bool
    """Whether it is kept."""

    async def find(self, get: Get) -> tuple[Card, bool]:
        """Return the card, and whether it is one that was kept and is used without asking.

        Raises:
            RemoteAgentError: There is none.
            SignatureError: Its signature is not as it must be.
        """
        known = kept_cards().find(self) if self.keeps else None
        if known is not None and known.is_fresh:
            return known, True
        return await self._fetch(get, known), False

    def forget(self) -> None:
        """Ask for the card again next time, whatever it said about its age."""
        kept_cards().forget(self)

    async def _fetch(self, get: Get, known: Card | None) -> Card:
        base = self.url.rstrip("/") + "/"
        is_card = self.url.endswith(".json")
        places = [self.url] if is_card else [base + CARD_PATH, base + OLD_CARD_PATH]
        for place in places:
            is_known = known is not None and known.etag and known.url == str(httpx.URL(place))
            confirmed = known if is_known else None
            response = await get(place, {"If-None-Match": confirmed.etag} if confirmed else {})
            if response.status_code != 404:
                break
        if confirmed is not None and response.status_code == 304:
            card = replace(confirmed, until=until(response.headers))
        elif response.is_success:
            card = Card.of(response)
        else:
            raise RemoteAgentError(f"There is no card at {places[0]}: {response.status_code}.")
        await self._check_signature(card.json, get)
        if self.keeps:
            kept_cards().keep(self, card, response)
        return card

    async def _check_signature(self, found: Any, get: Get) -> None:
        is_signed = isinstance(found, dict) and bool(found.get("signatures"))
        if self.signature == "ignore" or (self.signature == "check" and not is_signed):
            return

        async def fetch_json(url: str) -> Any:
            return (await get(url, {})).raise_for_status().json()

        try:
            card = AgentCard.from_dict(found)
        except InvalidParamsError as error:
            reason = f"Only those of 1.0 can be, and it is none: {error.message}"
            raise SignatureError(reason) from None
        await verify_signature(card, self.url, fetch_json, key=self.public_key)


class KeptCards:
    """The cards that are kept, of which the one that was not used for longest goes first."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._cards: OrderedDict[CardSource, Card] = OrderedDict()
        self._lock = threading.Lock()  # agents without `async` call from threads of their own

    def find(self, source: CardSource) -> Card | None:
        """Return a card that is kept, fresh or not."""
        with self._lock:
            if source in self._cards:
                self._cards.move_to_end(source)
            return self._cards.get(source)

    def keep(self, source: CardSource, card: Card, response: httpx.Response) -> None:
        """Keep a card if the response that has brought or confirmed it allows that."""
        self.forget(source)
        is_of_use = card.is_fresh or card.etag
        is_large = len(response.content) > MOST_BYTES
        if not is_of_use or not may_keep(response.headers) or is_large:
            return
        with self._lock:
            self._cards[source] = card
            if len(self._cards) > MOST_CARDS:
                self._cards.popitem(last=False)

    def forget(self, source: CardSource) -> None:
        """Keep a card no longer."""
        with self._lock:
            self._cards.pop(source, None)


@conf.cached()
def kept_cards() -> KeptCards:
    """Return the cards that this process keeps; none where the settings have changed."""
    return KeptCards()


def may_keep(headers: Mapping[str, str]) -> bool:
    """Tell whether a response may be kept at all."""
    return "no-store" not in _directives(headers) and headers.get("Vary", "").strip() != "*"


def until(headers: Mapping[str, str]) -> float:
    """Return until when a response is fresh. One that does not say it never is."""
    directives = _directives(headers)
    if "no-cache" in directives:
        return 0.0
    seconds = _seconds(directives.get("max-age", "")) - _seconds(headers.get("Age", ""))
    return time.monotonic() + min(seconds, MOST_SECONDS) if seconds > 0 else 0.0


def _directives(headers: Mapping[str, str]) -> dict[str, str]:
    parts = (part.partition("=") for part in headers.get("Cache-Control", "").split(","))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in parts}


def _seconds(text: str) -> int:
    # A number of a thousand digits would take its time.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
