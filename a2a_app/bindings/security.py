"""Security: what the project's authenticators say of themselves (sections 4.5 and 7)."""

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from a2a_app import conf
from a2a_app.bindings.callers import authenticators
from a2a_app.protocol import (
    APIKeySecurityScheme,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

REALM = "a2a"


@dataclass(frozen=True, slots=True)
class Security:
    """What clients are told of how to authenticate."""

    schemes: dict[str, SecurityScheme]
    """For cards, by name."""
    requirements: list[SecurityRequirement]
    """For cards: any one of them suffices."""
    challenge: str
    """The header WWW-Authenticate of a 401."""
    headers: tuple[str, ...]
    """The headers that carry credentials: answers that depend on the caller vary by them."""


@conf.cached()
def declared_security() -> Security:
    """Give what the authenticators of the settings declare.

    Raises:
        ImproperlyConfigured: What an authenticator declares is no security scheme.
        ImportError: A path leads nowhere.
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
        # As in OpenAPI, whose schemes these are: one that asks for nothing makes the rest optional.
        requirements.append(SecurityRequirement())
    schemes = {name: scheme for name, (scheme, _) in declared.items()}
    challenges = [_challenge(scheme) for scheme in schemes.values()]
    # A 401 must have a challenge (RFC 9110, section 15.5.2), also where nothing is declared.
    challenge = ", ".join(dict.fromkeys(filter(None, challenges))) or f'Unknown realm="{REALM}"'
    headers = {"Authorization": None, "Cookie": None} | dict.fromkeys(
        scheme.api_key_security_scheme.name
        for scheme in schemes.values()
        if scheme.api_key_security_scheme and scheme.api_key_security_scheme.location == "header"
    )
    return Security(schemes, requirements, challenge, tuple(headers))


def scheme_of(name: str, authenticator: Any) -> SecurityScheme | None:
    """Give the security scheme that an authenticator declares, None for one that declares none."""
    own = getattr(authenticator, "security_scheme", None)
    if own is None:
        return _from_openapi(getattr(authenticator, "openapi_security_schema", None))
    if not isinstance(own, SecurityScheme):
        raise ImproperlyConfigured(
            f"{conf.NAME}['AUTHENTICATION']: security_scheme of {name} must be a SecurityScheme, "
            f"not {type(own).__name__}."
        )
    return own


def _from_openapi(told: dict[str, Any] | None) -> SecurityScheme | None:
    """Read what django-ninja's classes say of themselves, in OpenAPI's words."""
    if told is None:
        return None
    description = told.get("description", "")
    match told:
        case {"type": "http", "scheme": str(scheme)}:
            # The registered names begin with a capital: Bearer, Basic.
            http = HTTPAuthSecurityScheme(scheme=scheme.capitalize(), description=description)
            return SecurityScheme(http_auth_security_scheme=http)
        case {"type": "apiKey", "in": str(place), "name": str(name)}:
            key = APIKeySecurityScheme(location=place, name=name, description=description)
            return SecurityScheme(api_key_security_scheme=key)
        case _:
            return None


def _challenge(scheme: SecurityScheme) -> str:
    if (http := scheme.http_auth_security_scheme) is not None:
        return f'{http.scheme} realm="{REALM}"'
    if scheme.oauth2_security_scheme or scheme.open_id_connect_security_scheme:
        return f'Bearer realm="{REALM}"'
    if (key := scheme.api_key_security_scheme) is not None:
        # No registered scheme says it: this one tells people what is missing.
        return f'ApiKey realm="{REALM}", in="{key.location}", name="{key.name}"'
    return ""
