"""Authenticators of every kind that say what they ask for, as a project might have them."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HttpBasicAuth, HttpBearer

from a2a_app import protocol
from a2a_app.authentication import CallerName
from a2a_app.authentication.certificates import CertificateAuth
from a2a_app.authentication.client_certificate import ClientCertificate
from a2a_app.authentication.tokens import TokenAuth

TOKEN = "open-sesame"
FLOW = protocol.ClientCredentialsOAuthFlow(
    token_url="https://example.com/token", scopes={"a2a": "Use the agents"}
)


def _user(given: str | None) -> User | None:
    return User.objects.filter(username="ann").first() if given == TOKEN else None


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        return _user(token)


class Basic(HttpBasicAuth):
    def authenticate(self, request: HttpRequest, username: str, password: str) -> User | None:
        return _user(password)


class Header(APIKeyHeader):
    param_name = "X-API-Key"
    openapi_description = "Ask the operator."

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        return _user(key)


class Query(APIKeyQuery):
    param_name = "api_key"

    async def authenticate(self, request: HttpRequest, key: str | None) -> CallerName | None:
        return CallerName("ann") if key == TOKEN else None


class Cookie(APIKeyCookie):
    param_name = "key"

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        return _user(key)


class OAuth:
    """Declares a scheme of its own, with the scopes that are needed."""

    security_scheme = protocol.SecurityScheme(
        oauth2_security_scheme=protocol.OAuth2SecurityScheme(
            flows=protocol.OAuthFlows(client_credentials=FLOW)
        )
    )
    scopes = ("a2a",)

    def __call__(self, request: HttpRequest) -> User | None:
        return _user(request.headers.get("Authorization", "").removeprefix("Bearer "))


class ByCertificate(CertificateAuth):
    """Knows users by the certificates that a proxy of this machine has verified."""

    proxies = ("127.0.0.1",)

    def identity_of(self, certificate: ClientCertificate) -> User | None:
        """Return the user of the common name."""
        return User.objects.filter(username=certificate.common_name, is_active=True).first()


class BehindNginx(CertificateAuth):
    """Knows callers by the certificates that nginx has verified, as the docs have it."""

    secret = "at least twenty characters"
    header = "X-Client-Cert"
    verify_header = "X-Client-Verify"


class ByToken(TokenAuth):
    """Knows callers by the tokens of a provider that nobody can reach."""

    issuer, audience = "https://login.example.com/", "agents"
    jwks_url = "https://login.example.com/keys"


class Nonsense:
    """Declares a scheme that is none."""

    security_scheme: Any = "http"

    def __call__(self, request: HttpRequest) -> None:
        return None


class Silent:
    """Declares nothing."""

    def __call__(self, request: HttpRequest) -> None:
        return None


class Broken:
    """Fails for a reason that is not the caller's fault."""

    def __call__(self, request: HttpRequest) -> None:
        raise HttpError(503, "The directory is away.")
