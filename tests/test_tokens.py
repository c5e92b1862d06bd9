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
from django.http import HttpRequest
from jwt.algorithms import ECAlgorithm

from a2a_app.authentication.tokens import TokenAuth
from a2a_app.protocol import UnavailableError

ISSUER, AUDIENCE = "https://login.example.com/", "agents"
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


class Provider(BaseHTTPRequestHandler):
    """Has one key, and counts how often it is asked."""

    asked: ClassVar[int] = 0

    def do_GET(self) -> None:
        """Answer with the key."""
        type(self).asked += 1
        key = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
        body = json.dumps({"keys": [{**key, "kid": "1", "use": "sig"}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def provider() -> Iterator[str]:
    Provider.asked = 0
    with HTTPServer(("127.0.0.1", 0), Provider) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()
        thread.join()


def authenticator(url: str, prefix: str = "") -> TokenAuth:
    class Company(TokenAuth):
        issuer, audience, jwks_url, scope_prefix = ISSUER, AUDIENCE, url, prefix

    return Company()


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


def test_while_the_provider_is_away_clients_are_told_to_try_again() -> None:
    with pytest.raises(UnavailableError):
        authenticator("http://127.0.0.1:1/keys")(request(token()))


def test_the_card_says_where_tokens_come_from() -> None:
    scheme = authenticator(f"{ISSUER}keys").security_scheme.open_id_connect_security_scheme
    assert scheme is not None
    url = "https://login.example.com/.well-known/openid-configuration"
    assert scheme.open_id_connect_url == url
