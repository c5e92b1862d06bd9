"""ApiKeyAuth: the authenticator that knows callers by the API keys that were issued here."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from pydantic import SecretStr

from a2a_app import database
from a2a_app.database import selects
from a2a_app.models import ApiKey
from a2a_app.models.api_key import prefix_of
from a2a_app.models.owners import name_of_user
from a2a_app.operations.call import Grant
from a2a_app.protocol import HTTPAuthSecurityScheme, SecurityScheme
from a2a_app.security import SecurityEvent, record

# The last use of a key is written at most once in so long. To write it for each request would cost
# more than the request.
PRECISION = timedelta(minutes=1)
# How long a request waits for that.
RECORD_SECONDS = 0.5
# How long before a key expires its operators are warned, if it was used in as many days before.
WARNING_DAYS = 14

logger = logging.getLogger(__name__)

_WARNING = timedelta(days=WARNING_DAYS)


@sensitive_variables("key")
def user_of(key: str) -> Any | None:
    """Return the user of a key, and record its use; None if the key is not valid."""
    grant = grant_of(key)
    return grant and grant.identity


@sensitive_variables("key")
def grant_of(key: str, address: str = "") -> Grant | None:
    """Return what a key allows, and record its use; None if the key is not valid.

    Args:
        key: The key.
        address: Who has sent it, for the log if it is refused.
    """
    row = _checked(_find(SecretStr(key)), address)
    if row is None:
        return None
    if _is_due(row):
        _record_use(row)
    return _grant(row)


def _find(key: SecretStr) -> ApiKey | None:
    prefix = prefix_of(key.get_secret_value())
    if prefix is None:
        return None
    for row in selects.select_models(ApiKey, related=("user",), prefix=prefix):
        if row.is_of(key.get_secret_value()):
            return row
    return None


def _checked(row: ApiKey | None, address: str) -> ApiKey | None:
    """Return the row of a key that is good; log the use of one that is not good any more."""
    if row is None or _is_good(row):
        return row
    is_over = "It was revoked." if row.revoked_at else "It has expired."
    record(
        SecurityEvent.KEY_REFUSED,
        owner=name_of_user(row.user_id),
        key=str(row.pk),
        prefix=row.prefix,
        address=address,
        reason="Its user is not active." if row.is_usable else is_over,
    )
    return None


def _is_due(row: ApiKey) -> bool:
    return row.last_used_at is None or row.last_used_at <= timezone.now() - PRECISION


def grants_of(credentials: Collection[str]) -> dict[str, Grant]:
    """Return what keys allow, by the names of their rows; those that are not valid are missing."""
    rows = ApiKey.objects.select_related("user").filter(pk__in=credentials)
    return {str(row.pk): _grant(row) for row in rows if _is_good(row)}


def _is_good(row: ApiKey) -> bool:
    return row.is_usable and row.user.is_active


def _grant(row: ApiKey) -> Grant:
    return Grant(
        row.user,
        credential=str(row.pk),
        scopes=frozenset(row.scopes.split()) or None,
        agents=frozenset(row.agents.split()) or None,
    )


def _record_use(row: ApiKey) -> None:
    now = timezone.now()
    # Of many requests at the same time, one writes.
    is_due = Q(last_used_at=None) | Q(last_used_at__lte=now - PRECISION)
    is_first = ApiKey.objects.filter(is_due, pk=row.pk).update(last_used_at=now)
    is_first_today = row.last_used_at is None or row.last_used_at.date() < now.date()
    expires_soon = row.expires_at is not None and row.expires_at < now + _WARNING
    if is_first and is_first_today and expires_soon:
        logger.warning("The API key %s is in use and expires at %s.", row.prefix, row.expires_at)


def keys_to_rotate() -> QuerySet[ApiKey]:
    """Return the keys that are in use and expire within WARNING_DAYS."""
    now = timezone.now()
    return ApiKey.objects.filter(
        revoked_at=None,
        expires_at__range=(now, now + _WARNING),
        last_used_at__gte=now - _WARNING,
    ).order_by("expires_at")


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

    @sensitive_variables("key")
    async def __call__(self, request: HttpRequest) -> Grant | None:
        """Return what the request's key allows, and for whom; None if it has no valid key."""
        scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        # Hidden from the reports of errors, which show what functions are called with.
        found = await database.read(_find, SecretStr(key.strip()))
        row = _checked(found, request.META.get("REMOTE_ADDR", ""))
        if row is None:
            return None
        if _is_due(row):
            # A database that takes no writes for a while refuses nobody who reads.
            with suppress(TimeoutError, database.AwayError):
                async with asyncio.timeout(RECORD_SECONDS):
                    await database.run(_record_use, row)
        return _grant(row)

    async def look_again(self, credentials: Collection[str]) -> dict[str, Grant]:
        """Return what keys allow now, by their credentials, in one query."""
        return await database.read(grants_of, credentials)
