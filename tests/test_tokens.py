"""Tokens of an OpenID Connect provider: which of them let a caller in, and as whom."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from jwt.algorithms import ECAlgorithm

from a2a_app.authentication import provider_keys
from a2a_app.authentication.tokens import TokenAuth
from a2a_app.protocol import UnavailableError

SECONDS = 20
ISSUER, AUDIENCE = "https://login.example.com/", "agents"
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


class Provider(BaseHTTPRequestHandler):
    """Has one key, and counts how often it is asked."""

    asked: ClassVar[int] = 0
    status: ClassVar[int] = 200
    key: ClassVar[Any] = KEY
    key_id: ClassVar[str] = "1"
    gate: ClassVar = threading.Event()

    def do_GET(self) -> None:
        """Answer with the key, once it is let."""
        type(self).asked += 1
        assert self.gate.wait(SECONDS)
        key = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        body = json.dumps({"keys": [{**key, "kid": self.key_id, "use": "sig"}]}).encode()
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[str]:
    Provider.asked, Provider.status, Provider.key, Provider.key_id = 0, 200, KEY, "1"
    Provider.gate.set()
    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        Provider.gate.set()
        server.shutdown()
        thread.join()


def authenticator(url: str, prefix: str = "", **attributes: Any) -> TokenAuth:
    class Company(TokenAuth):
        issuer, audience, jwks_url, scope_prefix = ISSUER, AUDIENCE, url, prefix

    made: TokenAuth = type("Company", (Company,), attributes)()
    return made


def token(key: Any = KEY, kid: str = "1", algorithm: str = "ES256", **claims: Any) -> str:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": time.time() + 60, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid})


def request(token: str) -> HttpRequest:
    made = HttpRequest()
    made.META["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return made


def test_a_token_of_the_provider_names_its_caller_and_its_scopes(provider: str) -> None:
    grant = authenticator(provider)(request(token()))
    assert grant is not None
    assert (grant.identity, grant.scopes) == (f"{ISSUER} ann", None)
    limited = authenticator(provider, "a2a:")
    for scope in ("openid a2a:read a2a:send", ["openid", "a2a:read", "a2a:send"]):
        grant = limited(request(token(scope=scope)))
        assert grant is not None and grant.scopes == frozenset({"read", "send"})
    grant = limited(request(token()))
    assert grant is not None and grant.scopes == frozenset()


@pytest.mark.parametrize(
    "bad",
    [
        token(OTHER),
        token(kid="2"),
        token(iss="https://evil.example.com/"),
        token(aud="others"),
        token(exp=time.time() - 60),
        token(exp=None),
        token(sub=None),
        token("x" * 32, algorithm="HS256"),
        token(KEY) + "x",
        "a2a_key",
        "a.b.c",
    ],
)
def test_no_other_token_lets_anybody_in(provider: str, bad: str) -> None:
    assert authenticator(provider)(request(bad)) is None


def test_the_provider_is_asked_seldom_whatever_tokens_name(provider: str) -> None:
    known = authenticator(provider)
    for number in range(20):
        known(request(token(kid=str(number))))
    assert Provider.asked <= 2


def test_tokens_of_others_are_no_reason_to_ask_the_provider(provider: str) -> None:
    known = authenticator(provider)
    for bad in (token(iss="https://other.example.com/"), token(iss=None), "a.b.c"):
        assert known(request(bad)) is None
    assert Provider.asked == 0


def test_while_the_provider_is_away_clients_are_told_to_try_again(
    provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    Provider.status = 500
    known = authenticator(provider)
    for number in range(5):
        with pytest.raises(UnavailableError):
            known(request(token(kid=str(number))))
    assert Provider.asked == 1
    [record] = caplog.records
    assert record.getMessage().startswith("The provider of tokens does not answer: ")


def test_a_provider_that_comes_back_is_asked_again(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_keys, "RETRY_SECONDS", 0.0)
    Provider.status = 500
    known = authenticator(provider)
    with pytest.raises(UnavailableError):
        known(request(token()))
    Provider.status = 200
    assert known(request(token())) is not None


def test_keys_that_are_known_go_on_while_the_provider_is_away_and_nobody_waits_for_it(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = authenticator(provider)
    assert known(request(token())) is not None
    monkeypatch.setattr(provider_keys, "KEYS_SECONDS", -1.0)
    monkeypatch.setattr(provider_keys, "REFRESH_SECONDS", 0.0)
    Provider.status = 500
    Provider.gate.clear()
    assert known(request(token())) is not None
    Provider.gate.set()
    wait_for_fetches()
    assert Provider.asked == 2
    assert known(request(token())) is not None
    # Not for ever: one of them may have been withdrawn meanwhile.
    monkeypatch.setattr(provider_keys, "OUTAGE_SECONDS", -1.0)
    with pytest.raises(UnavailableError):
        known(request(token()))


def test_a_new_key_is_known_at_once_and_an_old_one_refused_with_the_next_fetch(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = authenticator(provider)
    assert known(request(token())) is not None
    monkeypatch.setattr(provider_keys, "REFRESH_SECONDS", 0.0)
    Provider.key, Provider.key_id = OTHER, "2"
    monkeypatch.setattr(provider_keys, "KEYS_SECONDS", -1.0)
    assert known(request(token())) is not None
    wait_for_fetches()
    assert known(request(token())) is None
    assert known(request(token(OTHER, "2"))) is not None


def wait_for_fetches() -> None:
    """Wait until no thread fetches keys any more."""
    for thread in threading.enumerate():
        if thread.name == provider_keys.THREAD:
            thread.join(SECONDS)


@pytest.mark.parametrize(
    ("said", "is_let_in"),
    [("at+jwt", True), ("application/AT+JWT", True), ("JWT", False), (None, False)],
)
def test_the_type_of_tokens_may_be_required(
    provider: str, said: str | None, is_let_in: bool
) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": time.time() + 60}
    made = jwt.encode(claims, KEY, "ES256", headers={"kid": "1", "typ": said})
    assert authenticator(provider)(request(made)) is not None
    found = authenticator(provider, token_type="at+jwt")(request(made))
    assert (found is not None) is is_let_in


def test_the_clocks_may_differ_a_little(provider: str) -> None:
    late = request(token(exp=time.time() - 10))
    assert authenticator(provider)(late) is not None
    assert authenticator(provider, leeway=0.0)(late) is None
    early = request(token(nbf=time.time() + 10))
    assert authenticator(provider)(early) is not None
    assert authenticator(provider, leeway=0.0)(early) is None


@pytest.mark.parametrize(
    ("said", "tenants"),
    [("acme", {"acme"}), (["acme", 7], {"acme", "7"}), (None, set()), ("", set()), ({}, set())],
)
def test_a_claim_names_the_tenants(provider: str, said: Any, tenants: set[str]) -> None:
    grant = authenticator(provider, tenant_claim="org")(request(token(org=said)))
    assert grant is not None and grant.tenants == frozenset(tenants)
    grant = authenticator(provider)(request(token(org=said)))
    assert grant is not None and grant.tenants is None


@pytest.mark.parametrize(
    "attributes", [{"audience": ""}, {"issuer": ""}, {"jwks_url": ""}, {"jwks_url": "file:///x"}]
)
def test_one_that_says_not_whose_tokens_it_takes_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(ImproperlyConfigured):
        authenticator("http://127.0.0.1:1/keys", **attributes)


def test_the_card_says_where_tokens_come_from() -> None:
    scheme = authenticator(f"{ISSUER}keys").security_scheme.open_id_connect_security_scheme
    assert scheme is not None
    url = "https://login.example.com/.well-known/openid-configuration"
    assert scheme.open_id_connect_url == url
