"""TokenAuth: the authenticator that knows callers by the tokens of an OpenID Connect provider."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jwt
from django.http import HttpRequest

from a2a_app.operations.call import CallerName, Grant
from a2a_app.protocol import OpenIdConnectSecurityScheme, SecurityScheme, UnavailableError

# How long the provider's keys are cached, and may take to come.
KEYS_SECONDS = 300
TIMEOUT_SECONDS = 5.0
# A token may name any key. The provider is asked for one that is not known at most so often.
REFRESH_SECONDS = 30.0


class TokenAuth:
    """Authenticates by a JWT of one provider: `Authorization: Bearer …`. Subclass it.

    A token is checked for its signature, its issuer, its audience and its time. It must have the
    claims `exp`, `iss`, `aud` and `sub`. One of another form, or of another provider, is left to
    the authenticators that follow. It blocks while it fetches the provider's keys, and so is
    called in a thread.
    """

    issuer: ClassVar[str] = ""
    """The provider, as the claim `iss` has it."""
    audience: ClassVar[str] = ""
    """The name of this server, as the claim `aud` has it."""
    jwks_url: ClassVar[str] = ""
    """The URL of the provider's keys."""
    algorithms: ClassVar[tuple[str, ...]] = ("RS256", "ES256")
    """The algorithms of signatures that are accepted. None of them is symmetric."""
    scope_prefix: ClassVar[str] = ""
    """What the provider's names of our scopes begin with, such as `a2a:` in `a2a:read`. Empty: the
    tokens are not limited to scopes."""

    def __init__(self) -> None:
        self._keys = jwt.PyJWKClient(
            self.jwks_url,
            lifespan=KEYS_SECONDS,
            timeout=TIMEOUT_SECONDS,
            cooldown_duration=REFRESH_SECONDS,
        )
        discovery = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        self.security_scheme = SecurityScheme(
            open_id_connect_security_scheme=OpenIdConnectSecurityScheme(
                open_id_connect_url=discovery
            )
        )

    def __call__(self, request: HttpRequest) -> Grant | None:
        """Return what the request's token allows, and for whom; None if it has no valid token.

        Raises:
            UnavailableError: The provider's keys cannot be fetched.
        """
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or token.count(".") != 2:
            return None
        try:
            claims = self._claims(token.strip())
        except jwt.PyJWKClientConnectionError:
            raise UnavailableError("The keys of the tokens' issuer cannot be fetched.") from None
        except (jwt.InvalidTokenError, jwt.PyJWKClientError, jwt.PyJWKError):
            return None
        identity = self.identity_of(claims)
        return None if identity is None else Grant(identity, scopes=self.scopes_of(claims))

    def identity_of(self, claims: Mapping[str, Any]) -> Any | None:
        """Return the caller whom claims name, as an authenticator does. Override it.

        By itself it is a name, made of the issuer and the subject: no row of a user is needed.
        """
        return CallerName(f"{claims['iss']} {claims['sub']}")

    def scopes_of(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        """Return the scopes that claims have; None if they are not limited to any."""
        if not self.scope_prefix:
            return None
        given = claims.get("scope", claims.get("scp", ""))
        names = given.split() if isinstance(given, str) else given
        prefix = self.scope_prefix
        return frozenset(name[len(prefix) :] for name in names if str(name).startswith(prefix))

    def _claims(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            self._keys.get_signing_key_from_jwt(token),
            algorithms=list(self.algorithms),
            audience=self.audience,
            issuer=self.issuer,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims
