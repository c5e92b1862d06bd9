"""Authenticators that come with the app, for the setting AUTHENTICATION."""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from a2a_app import database
from a2a_app.database import selects
from a2a_app.models import ApiKey
from a2a_app.models.api_key import prefix_of
from a2a_app.operations.call import CallerName
from a2a_app.protocol import HTTPAuthSecurityScheme, SecurityScheme

__all__ = ["ApiKeyAuth", "CallerName", "user_of"]

# How exactly the last use is known: a write for each request would cost more than the request.
EXACTNESS = timedelta(minutes=1)


def user_of(key: str) -> Any | None:
    """Give the user whose key it is, and note the use; None where the key is not good."""
    prefix = prefix_of(key)
    if prefix is None:
        return None
    for row in selects.select_models(ApiKey, related=("user",), prefix=prefix):
        if row.is_usable and row.is_of(key) and row.user.is_active:
            _note_use(row)
            return row.user
    return None


def _note_use(row: ApiKey) -> None:
    now = timezone.now()
    if row.last_used_at is not None and row.last_used_at > now - EXACTNESS:
        return
    # Guarded: of many requests at once, one writes.
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=now - EXACTNESS)
    ApiKey.objects.filter(unnoted, pk=row.pk).update(last_used_at=now)


class ApiKeyAuth:
    """Knows callers by an API key issued in the admin: `Authorization: Bearer a2a_…`.

    As a bearer, since every client can send one. A bearer that is no key of ours costs no query,
    and is left to the authenticators that follow.
    """

    security_scheme = SecurityScheme(
        http_auth_security_scheme=HTTPAuthSecurityScheme(
            scheme="Bearer", description="An API key, issued by the operator of this server."
        )
    )

    async def __call__(self, request: HttpRequest) -> Any | None:
        """Give the user whose key the request has, None where it has no good one."""
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return await database.run(user_of, key.strip())
