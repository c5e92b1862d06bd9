"""Credentials: what a request carries so that its card's security schemes are met (section 7)."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.views.decorators.debug import sensitive_variables

from a2a_app import conf
from a2a_app.client.refusals import RemoteAgentError
from a2a_app.protocol import AgentCard, SecurityScheme


@dataclass(frozen=True, slots=True)
class Credentials:
    """What each request to an agent carries."""

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    query: dict[str, str] = field(default_factory=dict, repr=False)
    cookies: dict[str, str] = field(default_factory=dict, repr=False)


@conf.cached()
def credentials_hook(name: str) -> Callable[..., Any] | None:
    """Return what AUTH_CREDENTIALS_FROM of an entry in REMOTE_AGENTS names; None: it names nothing.

    Raises:
        ImproperlyConfigured: There is nothing at its path, or it cannot be called.
    """
    path = conf.current().remote_agents[name].auth_credentials_from
    setting = f"REMOTE_AGENTS.{name}.AUTH_CREDENTIALS_FROM"
    return conf.imported(setting, path) if path else None


@sensitive_variables()
def credentials_for(card: AgentCard, given: str | Mapping[str, str]) -> Credentials:
    """Return what meets one of the requirements of a card, the first for which there is enough.

    Args:
        card: The agent's card.
        given: The credentials by the names of the card's security schemes; or one for whichever
            scheme it is.

    Raises:
        RemoteAgentError: They meet none of the requirements.
    """
    if not given:
        return Credentials()
    for requirement in card.security_requirements:
        names = list(requirement.schemes)
        values = dict.fromkeys(names[:1], given) if isinstance(given, str) else given
        schemes = card.security_schemes
        if names and all(name in values and name in schemes for name in names):
            made = Credentials()
            if all(_add(made, schemes[name], str(values[name])) for name in names):
                return made
    if isinstance(given, str) and not card.security_requirements:
        return Credentials({"Authorization": f"Bearer {given}"})
    wanted = " or ".join(" and ".join(sorted(each.schemes)) for each in card.security_requirements)
    raise RemoteAgentError(f"The credentials are not what the card asks for: {wanted or 'none'}.")


@sensitive_variables()
def check_sendable(values: Mapping[str, str], kind: str) -> None:
    """Check that values can be sent in headers: what refuses them later would quote them.

    Args:
        values: The values by their names.
        kind: What they are, for the error.

    Raises:
        RemoteAgentError: One of them cannot.
    """
    for name, value in values.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise RemoteAgentError(
                f"The {kind} {name!r} cannot be sent: it must be printable ASCII without spaces or "
                "line ends around it."
            )


def _add(made: Credentials, scheme: SecurityScheme, value: str) -> bool:
    """Add the credential for one scheme; return False for a scheme that has none."""
    if (key := scheme.api_key_security_scheme) is not None:
        places = {"header": made.headers, "query": made.query, "cookie": made.cookies}
        places.get(key.location.lower(), made.headers)[key.name] = value
    elif (http := scheme.http_auth_security_scheme) is not None:
        is_basic = http.scheme.lower() == "basic"
        text = b64encode(value.encode()).decode() if is_basic else value
        made.headers["Authorization"] = f"{http.scheme.capitalize()} {text}"
    elif scheme.oauth2_security_scheme or scheme.open_id_connect_security_scheme:
        made.headers["Authorization"] = f"Bearer {value}"
    else:  # a certificate is the transport's
        return False
    return True
