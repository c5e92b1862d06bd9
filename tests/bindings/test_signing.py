"""Signed cards (section 8.4): which verifiers accept them, and how the keys are found."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from a2a.utils.signing import (
    InvalidSignaturesError,
    NoSignatureError,
    create_signature_verifier,
)
from joserfc.jwk import ECKey, KeySet, RSAKey
from jwt import PyJWK

from a2a_app.agents import AgentCard, AgentSkill, Turn, registry, signing
from a2a_app.agents.registry import make_agent
from tests.bindings import authenticators, users
from tests.clients.json_rpc import JsonRpcClient, body_of
from tests.conftest import ChangeSettings
from tests.protocol.official import parse
from tests.wire import HEADERS

KEYS = "/.well-known/jwks.json"
CARD = "/a2a/load/.well-known/agent-card.json"
PUBLIC = "https://agents.example.com"
OURS = authenticators.__name__

EC_KEY = ECKey.generate_key("P-256")
RSA_KEY = RSAKey.generate_key(2048)


def pem(key: ECKey | RSAKey, *, private: bool = True) -> str:
    return key.as_pem(private=private).decode()


def key_of_the_project() -> str:
    """Return a key, as a project's own callable may."""
    return pem(EC_KEY)


@pytest.fixture
def sign_with(a2a: ChangeSettings) -> Callable[..., None]:
    def change(key: ECKey | RSAKey = EC_KEY, **more: Any) -> None:
        a2a(**{"SIGNING_KEY": pem(key), "PUBLIC_URL": PUBLIC, **more})

    return change


def their_verifier(keys: dict[str, Any]) -> Callable[[Any], None]:
    """Make the official SDK's verifier, which finds keys as our cards say."""

    def key_for(kid: str | None, jku: str | None) -> PyJWK:
        assert jku == PUBLIC + KEYS
        [found] = [key for key in keys["keys"] if key["kid"] == kid]
        return PyJWK(found)

    return create_signature_verifier(key_for, ["ES256", "RS256"])


def header_of(card: dict[str, Any]) -> dict[str, Any]:
    [signature] = AgentCard.from_dict(card).signatures
    keys = KeySet([EC_KEY, RSA_KEY])
    return signing.verify(AgentCard.from_dict(card), lambda header: _of(header, keys)) | {
        "signature": signature.signature
    }


def _of(header: dict[str, Any], keys: KeySet) -> ECKey | RSAKey:
    return EC_KEY if header["alg"] == "ES256" else RSA_KEY


@pytest.mark.parametrize(("key", "algorithm"), [(EC_KEY, "ES256"), (RSA_KEY, "RS256")])
async def test_the_official_verifier_accepts_our_cards_and_refuses_changed_ones(
    sign_with: Any, rpc: JsonRpcClient, key: ECKey | RSAKey, algorithm: str
) -> None:
    sign_with(key, AUTHENTICATION=[f"{OURS}.OAuth"], ANONYMOUS="refuse")
    card = body_of(await rpc.http.get(CARD, headers=HEADERS))
    keys = body_of(await rpc.http.get(KEYS))
    verify = their_verifier(keys)
    verify(parse("AgentCard", json.dumps(card)))
    header = header_of(card)
    del header["signature"]
    assert header == {
        "alg": algorithm, "typ": "JOSE", "kid": key.thumbprint(), "jku": PUBLIC + KEYS,
    }  # fmt: skip  # one line of a header
    for change in ({"name": "Other"}, {"version": "9"}, {"documentationUrl": "https://x.example"}):
        with pytest.raises(InvalidSignaturesError):
            verify(parse("AgentCard", json.dumps({**card, **change})))
        with pytest.raises(signing.SignatureError):
            header_of({**card, **change})
    with pytest.raises(NoSignatureError):
        verify(parse("AgentCard", json.dumps({**card, "signatures": []})))


async def test_the_keys_are_public_and_only_the_public_half(
    sign_with: Any, rpc: JsonRpcClient
) -> None:
    sign_with(RSA_KEY, SIGNING_KEY_ID="2026-a")
    response = await rpc.http.get(KEYS)
    [key] = body_of(response)["keys"]
    assert {name: key[name] for name in ("kty", "kid", "alg", "use")} == {
        "kty": "RSA", "kid": "2026-a", "alg": "RS256", "use": "sig",
    }  # fmt: skip  # one line of a key
    assert not {"d", "p", "q", "dp", "dq", "qi", "oth"} & set(key)
    assert response["Cache-Control"].startswith("public, max-age=")
    assert response["Access-Control-Allow-Origin"] == "*"
    assert header_of(body_of(await rpc.http.get(CARD)))["kid"] == "2026-a"


async def test_without_a_key_there_are_neither_keys_nor_signatures(rpc: JsonRpcClient) -> None:
    assert (await rpc.http.get(KEYS)).status_code == 404
    assert "signatures" not in body_of(await rpc.http.get(CARD))


async def test_the_key_may_come_from_the_projects_own_callable(
    a2a: ChangeSettings, rpc: JsonRpcClient
) -> None:
    a2a(SIGNING_KEY=f"{__name__}.key_of_the_project", PUBLIC_URL=PUBLIC)
    assert header_of(body_of(await rpc.http.get(CARD)))["kid"] == EC_KEY.thumbprint()


@pytest.mark.slow
async def test_a_card_that_the_client_has_is_not_sent_again_though_another_process_signed_it(
    sign_with: Any, rpc: JsonRpcClient
) -> None:
    sign_with()
    first = await rpc.http.get(CARD)
    sign_with()  # again, as in another process
    again = await rpc.http.get(CARD, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    signed_anew = header_of(body_of(await rpc.http.get(CARD)))
    assert signed_anew["signature"] != header_of(body_of(first))["signature"]
    sign_with(RSA_KEY)
    other = await rpc.http.get(CARD, headers={"If-None-Match": first["ETag"]})
    assert other.status_code == 200


async def answer(turn: Turn) -> None: ...


async def test_extended_cards_are_signed_as_they_are(sign_with: Any, rpc: JsonRpcClient) -> None:
    sign_with(AUTHENTICATION=[f"{users.__name__}.by_name"], ANONYMOUS="refuse")
    secret = AgentSkill(id="secret", name="Secret", description="Not for all.", tags=["secret"])
    with registry.registered(make_agent(answer, slug="more", extended_skills=[secret])):
        got = await rpc.call("GetExtendedAgentCard", {}, agent="more", X_User="ann")
    card = got["result"]
    assert [skill["id"] for skill in card["skills"]] == ["more", "secret"]
    header_of(card)
    del card["skills"][1]
    with pytest.raises(signing.SignatureError):
        header_of(card)
