"""Authenticators that come with the app, for the setting AUTHENTICATION."""

from typing import Any

from django.http import HttpRequest

from a2a_app.protocol import HTTPAuthSecurityScheme, SecurityScheme
from a2a_app.store import api_keys, database


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
        return await database.run(api_keys.user_of, key.strip())
