"""Authenticators of the tests: who a request says it is, as a project might find out."""

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest


class Key:
    """What an authenticator of a project may give that is no Django user."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def by_username(request: HttpRequest) -> User | None:
    """Give the Django user that the header X-User names."""
    return User.objects.filter(username=request.headers.get("X-User", "")).first()


async def by_name(request: HttpRequest) -> str:
    """Believe a name, without any Django user."""
    return request.headers.get("X-User", "")


class ByLongKey:
    """Gives keys that differ at their end only."""

    def __call__(self, request: HttpRequest) -> Key | None:
        name = request.headers.get("X-User", "")
        return Key("key " * 100 + name) if name else None


def by_nobody(request: HttpRequest) -> AnonymousUser:
    """Give Django's stand-in for no user, as `request.user` is."""
    return AnonymousUser()
