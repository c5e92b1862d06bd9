"""Signing: signatures of cards (section 8.4). It needs the extra `signing`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rfc8785
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeyBase, RSAKey
from joserfc.util import json_b64decode, urlsafe_b64encode

from a2a_app import conf
from a2a_app.protocol import AgentCard, AgentCardSignature, InvalidAgentResponseError

ALGORITHMS = ("ES256", "RS256")
MIN_RSA_BITS = 2048


class SignatureError(ValueError):
    """A card has no valid signature. The text says why each of its signatures is not valid."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs the site's cards."""

    key: ECKey | RSAKey
    key_id: str
    algorithm: str

    @property
    def public(self) -> dict[str, Any]:
        """The public key, as a JSON Web Key."""
        public = self.key.as_dict(private=False)
        return {**public, "kid": self.key_id, "alg": self.algorithm, "use": "sig"}


@conf.cached()
def signing_key() -> SigningKey:
    """Return the key in the settings; raises ImproperlyConfigured if it cannot sign cards."""
    current = conf.current()
    if not current.public_url:
        raise ImproperlyConfigured(
            f"{conf.NAME}['SIGNING_KEY'] needs PUBLIC_URL: without it a card says whatever host a "
            "request names, and anybody could have one signed that leads to them."
        )
    key = _private_key(current.signing_key)
    algorithm = "ES256" if isinstance(key, ECKey) else "RS256"
    return SigningKey(key, current.signing_key_id or key.thumbprint(), algorithm)


def read_key(pem: str) -> ECKey | RSAKey:
    """Read a private or public key of a kind that can sign cards.

    Raises:
        ValueError: It is no such key. The text quotes nothing of it.
    """
    for kind in (ECKey, RSAKey):
        try:
            key = kind.import_key(pem)
        # Several libraries raise errors of their own here, and their texts might quote the key.
        except Exception:  # noqa: S112  # a key of neither kind is refused below
            continue
        if isinstance(key, ECKey) and key.curve_name != "P-256":
            raise ValueError(f"is on the curve {key.curve_name}; only P-256 is used")
        if isinstance(key, RSAKey) and key.raw_value.key_size < MIN_RSA_BITS:
            raise ValueError(f"has too few bits; {MIN_RSA_BITS} are the least")
        return key
    raise ValueError("is no key in PEM, RSA or on the curve P-256, without a passphrase")


def _private_key(setting: str) -> ECKey | RSAKey:
    name = f"{conf.NAME}['SIGNING_KEY']"
    try:
        key = read_key(setting if "-----BEGIN" in setting else _from_callable(setting))
    except ImportError:
        raise ImproperlyConfigured(
            f"{name} is neither PEM nor the dotted path of a callable that returns it."
        ) from None
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} {error}.") from None
    if not key.is_private:
        raise ImproperlyConfigured(f"{name} is a public key; the private one signs.")
    return key


def _from_callable(path: str) -> Any:
    hook = import_string(path)
    if not callable(hook):
        raise ImportError(path)
    return hook()


def canonical(card: AgentCard) -> bytes:
    """Return the bytes of a card that a signature covers, as in RFC 8785 (section 8.4.1).

    They have no signatures, and no fields that hold their defaults, which the protocol leaves out
    of all JSON.
    """
    content = card.to_dict()
    content.pop("signatures", None)
    try:
        return rfc8785.dumps(content)
    except rfc8785.CanonicalizationError as error:
        raise InvalidAgentResponseError(f"The card cannot be signed: {error}") from None


def sign(card: AgentCard, keys_url: str) -> AgentCard:
    """Return a card with the site's signature added (section 8.4.2).

    Args:
        card: The card.
        keys_url: The URL at which clients find the public key.
    """
    return card.model_copy(
        update={"signatures": [*card.signatures, _signature(canonical(card), keys_url)]}
    )


def signed_token(claims: dict[str, Any]) -> str:
    """Return a JSON Web Token by the site's key, whose public half is at /.well-known/jwks.json."""
    ours = signing_key()
    header = {"alg": ours.algorithm, "kid": ours.key_id}
    return jwt.encode(header, claims, ours.key, algorithms=ALGORITHMS)


# Cached, because signing is expensive and anybody may ask for a card.
@conf.cached(maxsize=256)
def _signature(payload: bytes, keys_url: str) -> AgentCardSignature:
    ours = signing_key()
    header = {"alg": ours.algorithm, "typ": "JOSE", "kid": ours.key_id, "jku": keys_url}
    signed = jws.serialize_json({"protected": header}, payload, ours.key, algorithms=ALGORITHMS)
    return AgentCardSignature(protected=signed["protected"], signature=signed["signature"])


def verify(card: AgentCard, key_for: Callable[[dict[str, Any]], KeyBase]) -> dict[str, Any]:
    """Check that a card has a valid signature (section 8.4.3).

    Args:
        card: The card as it was received.
        key_for: Returns the public key, or a set of keys, for a protected header. It raises
            SignatureError if no key is to be trusted.

    Returns:
        The protected header of the first valid signature.

    Raises:
        SignatureError: The card has no valid signature.
    """
    payload = urlsafe_b64encode(canonical(card)).decode()
    reasons = []
    for signature in card.signatures:
        try:
            header = _protected_header(signature)
            signed: jws.FlattenedJSONSerialization = {
                "payload": payload,
                "protected": signature.protected,
                "signature": signature.signature,
            }
            jws.deserialize_json(signed, key_for(header), algorithms=ALGORITHMS)
        except (JoseError, SignatureError) as error:
            reasons.append(str(error))
        except (TypeError, ValueError):  # the library's decoder, whose texts are not for people
            reasons.append("A signature is malformed.")
        else:
            return header
    raise SignatureError("; ".join(reasons) or "The card has no signature.")


def _protected_header(signature: AgentCardSignature) -> dict[str, Any]:
    try:
        header = json_b64decode(signature.protected.encode())
    except (ValueError, RecursionError):
        raise SignatureError("A protected header is not JSON in base64url.") from None
    if not isinstance(header, dict) or not header.get("kid"):
        raise SignatureError("A protected header names no kid.")
    return header
