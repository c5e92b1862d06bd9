"""TokenAuth: the authenticator that knows callers by the tokens of an OpenID Connect provider."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jwt
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from a2a_app.authentication.provider_keys import ProviderKeys
from a2a_app.operations.call import CallerName, Grant
from a2a_app.protocol import OpenIdConnectSecurityScheme, SecurityScheme
from a2a_app.security import SecurityEvent, record

_REQUIRED = ["exp", "iss", "aud", "sub"]
# What the token of another provider, which another authenticator knows, is refused with.
_ELSEWHERE = (jwt.InvalidIssuerError, jwt.DecodeError)


class TokenAuth:
    """Authenticates by a JWT of one provider: `Authorization: Bearer …`. Subclass it.

    A token is checked for its signature, its issuer, its audience and its time. It must have the
    claims `exp`, `iss`, `aud` and `sub`. One of another form, or of another provider, is left to
    the authenticators that follow. It may block while it fetches the provider's keys, and so is
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
    token_type: ClassVar[str] = ""
    """The type that the header of a token must have, such as `at+jwt` for the access tokens of RFC
    9068. Empty: any, so also an ID token, if it is for this audience."""
    leeway: ClassVar[float] = 30.0
    """By how many seconds the provider's clock may differ from ours."""
    scope_prefix: ClassVar[str] = ""
    """What the provider's names of our scopes begin with, such as `a2a:` in `a2a:read`. Empty: the
    tokens are not limited to scopes."""
    tenant_claim: ClassVar[str] = ""
    """The claim that has the key of the caller's tenant, or a list of them. Empty: the tokens are
    not limited to tenants."""

    def __init__(self) -> None:
        """Fetch nothing yet; raise ImproperlyConfigured where an attribute is missing."""
        if not (self.issuer and self.audience and self.jwks_url):
            raise ImproperlyConfigured(
                f"{type(self).__name__} needs an issuer, an audience and a jwks_url."
            )
        self._keys = ProviderKeys(self.jwks_url)
        discovery = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        self.security_scheme = SecurityScheme(
            open_id_connect_security_scheme=OpenIdConnectSecurityScheme(
                open_id_connect_url=discovery
            )
        )

    @sensitive_variables("token")
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
        except jwt.PyJWTError as error:
            _record_refusal(error, request)
            return None
        identity = None if claims is None else self.identity_of(claims)
        if claims is None or identity is None:
            return None
        return Grant(identity, scopes=self.scopes_of(claims), tenants=self.tenants_of(claims))

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

    def tenants_of(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        """Return the keys of the tenants that claims name; None if they are not limited to any."""
        if not self.tenant_claim:
            return None
        given = claims.get(self.tenant_claim)
        each = given if isinstance(given, list) else [given]
        return frozenset(str(key) for key in each if isinstance(key, str | int) and key != "")

    @sensitive_variables("token")
    def _claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token of the provider; None if it is not signed by its key."""
        unverified = jwt.decode_complete(token, options={"verify_signature": False})
        # First: the tokens of other providers are no reason to ask this one for its keys.
        if unverified["payload"].get("iss") != self.issuer:
            return None
        if not self._is_of_type(unverified["header"].get("typ")):
            return None
        key = self._keys.find(unverified["header"].get("kid"))
        if key is None:
            return None
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(self.algorithms),
            audience=self.audience,
            issuer=self.issuer,
            leeway=self.leeway,
            options={"require": _REQUIRED},
        )
        return claims

    def _is_of_type(self, said: Any) -> bool:
        # RFC 7515, section 4.1.9: the prefix may be left out, and case does not count.
        return not self.token_type or (
            str(said).lower().removeprefix("application/") == self.token_type.lower()
        )


def _record_refusal(error: Exception, request: HttpRequest) -> None:
    """Log why a token of the provider is refused; one of another form may be somebody else's."""
    if not isinstance(error, _ELSEWHERE) or isinstance(error, jwt.InvalidSignatureError):
        # The kind of the error only, since its text may quote the token.
        address = request.META.get("REMOTE_ADDR", "")
        record(SecurityEvent.TOKEN_REFUSED, address=address, reason=type(error).__name__)
