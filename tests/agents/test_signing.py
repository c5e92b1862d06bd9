"""Signing cards (section 8.4.1): what is signed, and which keys can sign."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.core.exceptions import ImproperlyConfigured
from joserfc.jwk import ECKey

from a2a_app import protocol
from a2a_app.agents import AgentCard, AgentExtension, signing
from tests.conftest import ChangeSettings

PUBLIC = "https://agents.example.com"
EC_KEY = ECKey.generate_key("P-256")
LEAST = {
    "name": "Example Agent",
    "description": "",
    "supportedInterfaces": [],
    "version": "",
    "capabilities": {"streaming": False, "pushNotifications": False, "extensions": []},
    "defaultInputModes": [],
    "defaultOutputModes": [],
    "skills": [],
}


def pem(key: ECKey, *, private: bool = True) -> str:
    return key.as_pem(private=private).decode()


def short_key() -> str:
    key = rsa.generate_private_key(65537, 1024)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_the_signed_content_is_that_of_the_specification() -> None:
    """The example of section 8.4.1, with the other required fields of a card."""
    expected = (
        '{"capabilities":{"pushNotifications":false,"streaming":false},"defaultInputModes":[],'
        '"defaultOutputModes":[],"description":"","name":"Example Agent","skills":[],'
        '"supportedInterfaces":[],"version":""}'
    )
    assert signing.canonical(AgentCard.from_dict(LEAST)).decode() == expected


@pytest.mark.parametrize(
    ("given", "signed"),
    [
        ({"documentationUrl": ""}, {"documentationUrl": ""}),
        ({"securitySchemes": {}, "securityRequirements": [], "signatures": []}, {}),
        ({"provider": None}, {}),
        ({"securityRequirements": [{"schemes": {"a": {"list": []}}}, {}]},
         {"securityRequirements": [{"schemes": {"a": {}}}, {}]}),
        ({"signatures": [{"protected": "e30", "signature": "AA"}]}, {}),
        ({"unknownField": 1}, {}),
    ],
)  # fmt: skip  # a pair a line
def test_defaults_are_left_out_of_what_is_signed_unless_they_were_given(
    given: dict[str, Any], signed: dict[str, Any]
) -> None:
    content = json.loads(signing.canonical(AgentCard.from_dict({**LEAST, **given})))
    least = json.loads(signing.canonical(AgentCard.from_dict(LEAST)))
    assert content == {**least, **signed}


def test_numbers_and_texts_are_written_as_in_javascript() -> None:
    params = {"b": 1.0, "a": 1e21, "é": "\u2028\x7f/", "\U0001f600": 0.1, "\ufb33": -0.0}
    card = AgentCard.from_dict(LEAST)
    card.capabilities.extensions = [AgentExtension(uri="x", params=params)]
    text = signing.canonical(card).decode()
    assert '{"a":1e+21,"b":1,"é":"\u2028\x7f/","\U0001f600":0.1,"\ufb33":0}' in text


def test_a_card_that_no_client_could_read_alike_is_not_signed() -> None:
    card = AgentCard.from_dict(LEAST)
    card.capabilities.extensions = [AgentExtension(uri="x", params={"large": 2**60})]
    with pytest.raises(protocol.InvalidAgentResponseError):
        signing.canonical(card)


@pytest.mark.parametrize(
    "key",
    [
        "no.such.callable",
        "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----",
        pem(EC_KEY, private=False),
        pem(ECKey.generate_key("P-384")),
        short_key(),
        f"{__name__}.PUBLIC",
    ],
)  # fmt: skip  # one a line
def test_a_key_that_cannot_sign_is_refused_in_words_that_do_not_quote_it(
    a2a: ChangeSettings, key: str
) -> None:
    a2a(SIGNING_KEY=key, PUBLIC_URL=PUBLIC)
    with pytest.raises(ImproperlyConfigured) as refused:
        signing.signing_key()
    assert "SIGNING_KEY" in str(refused.value)
    assert "nonsense" not in str(refused.value) and "MI" not in str(refused.value)


def test_nothing_is_signed_that_says_whatever_host_a_request_names(a2a: ChangeSettings) -> None:
    a2a(SIGNING_KEY=pem(EC_KEY), PUBLIC_URL="")
    with pytest.raises(ImproperlyConfigured, match="PUBLIC_URL"):
        signing.signing_key()
