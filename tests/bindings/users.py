"""Authenticators of the tests: they know callers by a header, as a project might."""

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest


class Key:
    """A caller that is no Django user, as an authenticator of a project may return one."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def by_username(request: HttpRequest) -> User | None:
    """Return the Django user that the header X-User names."""
    return User.objects.filter(username=request.headers.get("X-User", "")).first()


async def by_name(request: HttpRequest) -> str:
    """Believe a name, without any Django user."""
    return request.headers.get("X-User", "")


class ByLongKey:
    """Knows callers by keys that differ at their end only."""

    def __call__(self, request: HttpRequest) -> Key | None:
        name = request.headers.get("X-User", "")
        return Key("key " * 100 + name) if name else None


def by_nobody(request: HttpRequest) -> AnonymousUser:
    """Return Django's stand-in for no user, as in `request.user`."""
    return AnonymousUser()
