"""Authenticators of every kind that say what they ask for, as a project might have them."""

from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HttpBasicAuth, HttpBearer

from a2a_app import protocol
from a2a_app.authentication import CallerName

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
