"""Authenticators of the tests: they know callers by a header, as a project might."""

from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from ninja.security import HttpBearer

from a2a_app.authentication import CallerName, Grant

TOKEN = "open-sesame"


def by_username(request: HttpRequest) -> User | None:
    """Return the Django user that the header X-User names."""
    return User.objects.filter(username=request.headers.get("X-User", "")).first()


async def by_name(request: HttpRequest) -> CallerName:
    """Believe a name, without any Django user."""
    return CallerName(request.headers.get("X-User", ""))


class ByBearer(HttpBearer):
    """Knows a caller by a token, without any row."""

    async def authenticate(self, request: HttpRequest, token: str) -> CallerName | None:
        return CallerName("ann") if token == TOKEN else None


class ByLongKey:
    """Knows callers by names that differ at their end only."""

    def __call__(self, request: HttpRequest) -> CallerName | None:
        name = request.headers.get("X-User", "")
        return CallerName("key " * 100 + name) if name else None


def by_nobody(request: HttpRequest) -> AnonymousUser:
    """Return Django's stand-in for no user, as in `request.user`."""
    return AnonymousUser()


def by_grant(request: HttpRequest) -> Grant | None:
    """Know a caller by a name, with credentials that are limited."""
    name = request.headers.get("X-User", "")
    scopes = frozenset({"send", "read"})
    return Grant(CallerName(name), scopes=scopes, credential="key 1") if name else None


def hand_on(request: HttpRequest) -> dict[str, Any] | None:
    """Hand on a token of the request, if it has one."""
    token = request.headers.get("X-Token")
    return {"token": token, "path": request.path} if token else None


async def hand_on_later(request: HttpRequest) -> dict[str, Any] | None:
    """Hand on the same without a thread."""
    return hand_on(request)


def hand_on_nonsense(request: HttpRequest) -> str:
    """Return what is no dict."""
    return "token"


def refuse(request: HttpRequest) -> None:
    """Refuse each request, as where a token cannot be exchanged."""
    raise PermissionDenied("No token for you.")
