"""Authenticators of the tests: they know callers by a header, as a project might."""

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from a2a_app.authentication import CallerName


def by_username(request: HttpRequest) -> User | None:
    """Return the Django user that the header X-User names."""
    return User.objects.filter(username=request.headers.get("X-User", "")).first()


async def by_name(request: HttpRequest) -> CallerName:
    """Believe a name, without any Django user."""
    return CallerName(request.headers.get("X-User", ""))


class ByLongKey:
    """Knows callers by names that differ at their end only."""

    def __call__(self, request: HttpRequest) -> CallerName | None:
        name = request.headers.get("X-User", "")
        return CallerName("key " * 100 + name) if name else None


def by_nobody(request: HttpRequest) -> AnonymousUser:
    """Return Django's stand-in for no user, as in `request.user`."""
    return AnonymousUser()
