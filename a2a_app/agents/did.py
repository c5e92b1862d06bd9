"""The site as a signer of catalogs: its name by did:web, and its signatures (AI Catalog, 0.9).

It needs the extra `signing`.
"""

import json
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import rfc8785
from joserfc import jws
from pydantic_core import from_json

from a2a_app import conf
from a2a_app.agents import signing
from a2a_app.agents.catalog import Json, domain_of

PROFILE = "did-web-v1"
# The profile takes no other, whatever signs the cards.
ALGORITHM = "ES256"


def site_did() -> str:
    """Return the site's DID; "" where the profile has none for it.

    It needs a domain with https on its usual port, where others find the document, and a key on the
    curve P-256.
    """
    url = urlsplit(conf.current().public_url)
    domain = domain_of(conf.current().public_url)
    is_fit = url.scheme == "https" and url.port in (None, 443) and domain
    return f"did:web:{domain}" if is_fit and signing.signing_key().algorithm == ALGORITHM else ""


def did_document() -> Json:
    """Return the document of the site's DID: its key, which makes assertions."""
    did, ours = site_did(), signing.signing_key()
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/jwk/v1"],
        "id": did,
        "verificationMethod": [
            {
                "id": _key_url(did),
                "type": "JsonWebKey",
                "controller": did,
                "publicKeyJwk": ours.public,
            }
        ],
        "assertionMethod": [_key_url(did)],
    }


def signed(catalog: Json) -> Json:
    """Return a catalog with the site's signature and its name as the host; as it is, without a DID.

    Raises:
        ImproperlyConfigured: The key in the settings cannot sign.
    """
    did = site_did()
    if not did:
        return catalog
    catalog = {**catalog, "host": {**catalog["host"], "identifier": did}}
    return {**catalog, "signature": _signature(json.dumps(catalog), did)}


# Cached, because signing is expensive and anybody may ask for the catalog.
@conf.cached(maxsize=64)
def _signature(catalog: str, did: str) -> Json:
    """Return the signature of a catalog that is given as JSON."""
    signature: Json = {
        "signer": did,
        "profile": PROFILE,
        "issuedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    payload = rfc8785.dumps({**from_json(catalog), "signature": signature})
    header = {"alg": ALGORITHM, "typ": "ai-catalog+jws", "kid": _key_url(did)}
    whole = jws.serialize_compact(header, payload, signing.signing_key().key, [ALGORITHM])
    protected, _, ending = whole.split(".")
    return {**signature, "jws": f"{protected}..{ending}"}


def _key_url(did: str) -> str:
    return f"{did}#{quote(signing.signing_key().key_id, safe='')}"
