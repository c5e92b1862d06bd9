"""The security schemes that the project's authenticators declare (sections 4.5 and 7)."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from a2a_app import conf
from a2a_app.bindings.callers import authenticators
from a2a_app.operations.call import Caller
from a2a_app.protocol import (
    APIKeySecurityScheme,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

REALM = "a2a"
# The schemes of HTTP authentication by which a browser identifies its user without being told to.
_BY_BROWSER = ("basic", "digest", "negotiate", "ntlm")


@dataclass(frozen=True, slots=True)
class Security:
    """What clients are told about authentication."""

    schemes: dict[str, SecurityScheme]
    """The security schemes in cards, by name."""
    requirements: list[SecurityRequirement]
    """The requirements in cards, of which any one suffices."""
    challenge: str
    """The value of the header WWW-Authenticate in a response of status 401."""
    headers: tuple[str, ...]
    """The headers that carry credentials, for the header Vary of responses to known callers."""


@conf.cached()
def declared_security() -> Security:
    """Return what the authenticators of the settings declare.

    Raises:
        ImproperlyConfigured: An authenticator declares something that is no security scheme, or
            there is nothing at the path of one of them.
    """
    declared = {
        name: (scheme, list(getattr(authenticator, "scopes", ())))
        for name, authenticator in authenticators().items()
        if (scheme := scheme_of(name, authenticator)) is not None
    }
    requirements = [
        SecurityRequirement(schemes={name: StringList(list=scopes)})
        for name, (_, scopes) in declared.items()
    ]
    if requirements and conf.current().anonymous == "share":
        # As in OpenAPI, an empty requirement makes the others optional.
        requirements.append(SecurityRequirement())
    schemes = {name: scheme for name, (scheme, _) in declared.items()}
    challenges = [_challenge(scheme) for scheme in schemes.values()]
    # A 401 must have a challenge (RFC 9110, section 15.5.2), even if nothing is declared.
    challenge = ", ".join(dict.fromkeys(filter(None, challenges))) or f'Unknown realm="{REALM}"'
    headers = {"Authorization": None, "Cookie": None} | dict.fromkeys(
        scheme.api_key_security_scheme.name
        for scheme in schemes.values()
        if scheme.api_key_security_scheme and scheme.api_key_security_scheme.location == "header"
    )
    return Security(schemes, requirements, challenge, tuple(headers))


def has_ambient_credentials(caller: Caller) -> bool:
    """Tell whether a browser may have identified a caller by itself, for a page of any site.

    It may where nobody needs credentials. An authenticator says so by its attribute `ambient`, and
    by its security scheme if it has none. One that says nothing at all may go by the session.
    """
    name = caller.authenticator
    return not name or name in _ambient()


@conf.cached()
def _ambient() -> frozenset[str]:
    return frozenset(name for name, each in authenticators().items() if _is_ambient(name, each))


def _is_ambient(name: str, authenticator: Any) -> bool:
    declared = getattr(authenticator, "ambient", None)
    if declared is not None:
        return bool(declared)
    scheme = scheme_of(name, authenticator)
    if scheme is None or scheme.mtls_security_scheme is not None:
        return True
    if (http := scheme.http_auth_security_scheme) is not None:
        return http.scheme.lower() in _BY_BROWSER
    key = scheme.api_key_security_scheme
    return key is not None and key.location == "cookie"


def scheme_of(name: str, authenticator: Any) -> SecurityScheme | None:
    """Return the security scheme that an authenticator declares; None if it declares none."""
    scheme = getattr(authenticator, "security_scheme", None)
    if scheme is None:
        return _from_openapi(getattr(authenticator, "openapi_security_schema", None))
    if not isinstance(scheme, SecurityScheme):
        raise ImproperlyConfigured(
            f"{conf.NAME}['AUTHENTICATION']: security_scheme of {name} must be a SecurityScheme, "
            f"not {type(scheme).__name__}."
        )
    return scheme


def _from_openapi(schema: dict[str, Any] | None) -> SecurityScheme | None:
    """Return the scheme that one of django-ninja's classes describes in OpenAPI's words."""
    if schema is None:
        return None
    description = schema.get("description", "")
    match schema:
        case {"type": "http", "scheme": str(scheme)}:
            # The registered names begin with a capital: Bearer, Basic.
            http = HTTPAuthSecurityScheme(scheme=scheme.capitalize(), description=description)
            return SecurityScheme(http_auth_security_scheme=http)
        case {"type": "apiKey", "in": str(location), "name": str(name)}:
            key = APIKeySecurityScheme(location=location, name=name, description=description)
            return SecurityScheme(api_key_security_scheme=key)
        case _:
            return None


def _challenge(scheme: SecurityScheme) -> str:
    if (http := scheme.http_auth_security_scheme) is not None:
        return f'{http.scheme} realm="{REALM}"'
    if scheme.oauth2_security_scheme or scheme.open_id_connect_security_scheme:
        return f'Bearer realm="{REALM}"'
    if (key := scheme.api_key_security_scheme) is not None:
        # No scheme is registered for API keys. This one tells people what is missing.
        return f'ApiKey realm="{REALM}", in="{key.location}", name="{key.name}"'
    return ""
