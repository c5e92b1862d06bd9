"""The signature of a card from elsewhere (section 8.4.3). It needs the extra `signing`."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from a2a_app.agents.signing import SignatureError, read_key, verify
from a2a_app.protocol import AgentCard

# One is enough. To check one can take milliseconds, in which nothing else is done, and each may
# want keys of its own.
MOST_SIGNATURES = 10


def origin_of(location: str) -> tuple[str, str, int | None]:
    """Return the scheme, host and port of a URL; for a file, a value that no URL has."""
    try:
        url = httpx.URL(location)
    except httpx.InvalidURL:
        return "", location, None
    return (url.scheme, url.host, url.port) if url.host else ("", location, None)


async def verify_signature(
    card: AgentCard, source: str, fetch: Callable[[str], Awaitable[Any]], *, key: str = ""
) -> None:
    """Check that a card has a valid signature.

    Args:
        card: The card as it was received.
        source: The URL that it is from.
        fetch: Returns the JSON at a URL.
        key: The public key to trust, in PEM. Empty: the keys that the card's own host has.

    Raises:
        SignatureError: It has none, or its keys are not to be trusted. The text says why.
    """
    if len(card.signatures) > MOST_SIGNATURES:
        raise SignatureError(f"It has more than {MOST_SIGNATURES} signatures.")
    keys = _Keys(source, key)
    while True:
        try:
            verify(card, keys.key_for)
            return
        except SignatureError:
            if not keys.missing:
                raise
        await keys.fetch_missing(fetch)


class _Keys:
    """The keys for a card's signatures, which are fetched once it is known where they are."""

    def __init__(self, source: str, key: str) -> None:
        self._source, self._key = source, key
        self._found: dict[str, KeySet] = {}
        self.missing: list[str] = []

    def key_for(self, header: dict[str, Any]) -> Any:
        if self._key:
            try:
                return read_key(self._key)
            except ValueError as error:
                raise SignatureError(f"The key that it is checked with {error}.") from None
        location = str(header.get("jku", ""))
        if origin_of(location) != origin_of(self._source):
            # Who has changed the card could also have signed it, and named keys of their own.
            raise SignatureError(f"Its keys are at {location!r}, which is not where the card is.")
        if location not in self._found:
            self.missing.append(location)
            raise SignatureError(f"There is no JWK Set at {location}.")
        return self._found[location]

    async def fetch_missing(self, fetch: Callable[[str], Awaitable[Any]]) -> None:
        while self.missing:
            location = self.missing.pop()
            try:
                self._found[location] = KeySet.import_key_set(await fetch(location))
            except (JoseError, KeyError, TypeError, ValueError, httpx.HTTPError) as error:
                raise SignatureError(f"{location} is no JWK Set.") from error
