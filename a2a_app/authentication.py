"""Authenticators for the setting AUTHENTICATION."""

import asyncio
from contextlib import suppress
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

# The last use of a key is written at most once in so long. To write it for each request would cost
# more than the request.
PRECISION = timedelta(minutes=1)
# How long a request waits for that.
RECORD_SECONDS = 0.5


def user_of(key: str) -> Any | None:
    """Return the user of a key, and record its use; None if the key is not valid."""
    row = _find(key)
    if row is None:
        return None
    if _is_due(row):
        _record_use(row)
    return row.user


def _find(key: str) -> ApiKey | None:
    prefix = prefix_of(key)
    if prefix is None:
        return None
    for row in selects.select_models(ApiKey, related=("user",), prefix=prefix):
        if row.is_usable and row.is_of(key) and row.user.is_active:
            return row
    return None


def _is_due(row: ApiKey) -> bool:
    return row.last_used_at is None or row.last_used_at <= timezone.now() - PRECISION


def _record_use(row: ApiKey) -> None:
    now = timezone.now()
    # Of many requests at the same time, one writes.
    is_due = Q(last_used_at=None) | Q(last_used_at__lte=now - PRECISION)
    ApiKey.objects.filter(is_due, pk=row.pk).update(last_used_at=now)


class ApiKeyAuth:
    """Authenticates by an API key that the admin issued: `Authorization: Bearer a2a_…`.

    The key is a bearer token, since every client can send one. A token of another form costs no
    query, and is left to the authenticators that follow.
    """

    security_scheme = SecurityScheme(
        http_auth_security_scheme=HTTPAuthSecurityScheme(
            scheme="Bearer", description="An API key, issued by the operator of this server."
        )
    )

    async def __call__(self, request: HttpRequest) -> Any | None:
        """Return the user of the request's key; None if it has no valid key."""
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        row = await database.read(_find, key.strip())
        if row is None:
            return None
        if _is_due(row):
            # A database that takes no writes for a while refuses nobody who reads.
            with suppress(TimeoutError, database.AwayError):
                async with asyncio.timeout(RECORD_SECONDS):
                    await database.run(_record_use, row)
        return row.user
