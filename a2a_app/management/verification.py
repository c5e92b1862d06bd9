"""Verification of any card (section 8.4.3). It needs the extra `signing`."""

import json
from pathlib import Path
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeyBase, KeySet

from a2a_app.agents.signing import SignatureError, read_key, verify
from a2a_app.client.signatures import origin_of
from a2a_app.protocol import AgentCard, InvalidAgentResponseError, InvalidParamsError

SECONDS = 10.0


def verify_card(source: str, *, key: str = "", jwks: str = "") -> tuple[AgentCard, dict[str, Any]]:
    """Check the card at a URL or in a file.

    Args:
        source: The URL or the file.
        key: A file with the public key to trust, in PEM.
        jwks: A file with the public keys to trust, as a JWK Set. Without either, the keys that the
            server of the card itself has are trusted.

    Returns:
        The card, and the protected header of its valid signature.

    Raises:
        SignatureError: It has no valid signature, or is no card. The text says why.
    """
    try:
        card = AgentCard.from_dict(_read_json(source))
    except InvalidParamsError as error:
        raise SignatureError(f"{source} is no card: {error.message}") from None
    try:
        return card, verify(card, lambda header: _keys(header, source, key, jwks))
    except InvalidAgentResponseError as error:
        raise SignatureError(error.message) from None


def _keys(header: dict[str, Any], source: str, key: str, jwks: str) -> KeyBase:
    if key:
        try:
            return read_key(Path(key).read_text())
        except (OSError, ValueError) as error:
            raise SignatureError(f"{key} {error}") from None
    location = jwks or str(header.get("jku", ""))
    if not jwks and origin_of(location) != origin_of(source):
        # An attacker who changed the card could also have signed it, and named keys of their own.
        raise SignatureError(
            f"its keys are at {location!r}, which is not where the card is from; give the keys "
            "that you trust with --key or --jwks"
        )
    try:
        return KeySet.import_key_set(_read_json(location))
    except (JoseError, KeyError, TypeError, ValueError):
        raise SignatureError(f"{location} is no JWK Set") from None


def _read_json(source: str) -> Any:
    try:
        if source.startswith(("http://", "https://")):
            return httpx.get(source, timeout=SECONDS).raise_for_status().json()
        return json.loads(Path(source).read_text())
    except (OSError, ValueError, RecursionError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise SignatureError(f"{source} cannot be read: {error}") from None
