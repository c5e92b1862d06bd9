"""Targets: the URLs that a webhook may have, and the addresses that are used (section 13.2).

A URL is checked when the webhook is registered, so that the client learns of a fault. It is checked
again at each delivery, with the address that is then used, since a name may have a new address.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext_noop
from django.views.decorators.debug import sensitive_variables

from a2a_app import conf
from a2a_app.push.addresses import is_address, is_public, lookups

PORTS = {"https": 443, "http": 80}
# Longer than any URL that servers in common use accept.
MAX_URL_CHARACTERS = 8_000
MAX_HOST_CHARACTERS = 253
# What a resolver answers of a name that has no address; not every system has each of them. Whatever
# else goes wrong is no answer.
NO_ADDRESS = {
    getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
} - {None}


class TargetError(Exception):
    """This server does not send to the URL. The text says why, and is fit for clients.

    It is what a sentence says of the URL: "The URL must begin with https." is one.
    """

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template % values if values else template)
        self.template = template
        """The text with names in place of its values, by which a translation is found."""
        self.values = values


class ForbiddenTargetError(TargetError):
    """The URL is one, and leads to where this server does not send.

    The text is for those who operate the server. Whoever else reads it learns which names there are
    in its network: `FORBIDDEN` is for them.
    """


class UnresolvedError(TargetError):
    """The host's address could not be looked up. The next time it may be."""


FORBIDDEN = "has a host or a port that this server does not send to"
"""All that a client hears of a ForbiddenTargetError, whatever the reason is."""


def check_url(url: str) -> SplitResult:
    """Check a URL as far as that is possible without looking up its address.

    Returns:
        The parts of the URL, whose scheme, host and port may be used.

    Raises:
        TargetError: It cannot be the URL of a webhook.
        ForbiddenTargetError: The settings do not allow its host or its port.
    """
    parts = _parse(url)
    if parts.scheme == "http" and not conf.current().push_allow_http:
        raise TargetError(gettext_noop("must begin with https"))
    if parts.username is not None or parts.password is not None:
        raise TargetError(gettext_noop("must not contain a user or password: use `authentication`"))
    if parts.fragment:
        raise TargetError(gettext_noop("must not have a fragment"))
    host = parts.hostname or ""
    if not host.isascii():
        in_ascii = gettext_noop("must have its host in ASCII: `xn--…` for one in another alphabet")
        raise TargetError(in_ascii)
    if len(host) > MAX_HOST_CHARACTERS:
        too_long = gettext_noop("must not have a host of more than %(most)d characters")
        raise TargetError(too_long, most=MAX_HOST_CHARACTERS)
    _check_allowed(host, port_of(parts))
    return parts


def _parse(url: str) -> SplitResult:
    # First, so that nothing else is done with a URL of megabytes.
    if len(url) > MAX_URL_CHARACTERS:
        too_long = gettext_noop("must not be longer than %(most)d characters")
        raise TargetError(too_long, most=MAX_URL_CHARACTERS)
    if any(character.isspace() or not character.isprintable() for character in url):
        raise TargetError(gettext_noop("must not contain white space or control characters"))
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a number
    except ValueError:
        raise TargetError(gettext_noop("is no URL")) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise TargetError(gettext_noop("must be an absolute https URL"))
    return parts


def port_of(parts: SplitResult) -> int:
    """Return the port of a URL."""
    return PORTS[parts.scheme] if parts.port is None else parts.port


async def resolve(parts: SplitResult, *, owner: str) -> str:
    """Look up the host of a URL, and return an address that may be used.

    Args:
        parts: The parts of the URL.
        owner: Who has configured it. Each owner may look up some names at once.

    Raises:
        ForbiddenTargetError: The host has no address, or one of its addresses must not be used. The
            owner of the name could choose that one for the next connection.
        UnresolvedError: No resolver has answered, within PUSH_TIMEOUT_SECONDS.
    """
    host = parts.hostname or ""
    try:
        async with asyncio.timeout(conf.current().push_timeout_seconds):
            addresses = await lookups.get().addresses_of(host, port_of(parts), owner=owner)
    except UnicodeError:
        raise ForbiddenTargetError("has a host whose address is not known") from None
    except OSError as error:  # a TimeoutError is one
        if error.errno in NO_ADDRESS:
            raise ForbiddenTargetError("has a host whose address is not known") from None
        raise UnresolvedError("has a host whose address could not be looked up") from None
    if not _is_trusted(host) and not all(is_public(address) for address in addresses):
        raise ForbiddenTargetError("has a host whose address is not public")
    return addresses[0]


@dataclass(frozen=True, slots=True)
class Pinned:
    """What all requests to a URL share, so that they go to the address that was checked."""

    url: str = field(repr=False)
    """The URL, with the address in place of the host."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers, with the host."""
    extensions: Mapping[str, Any]
    """What httpx needs to know, so that the certificate must be that of the host."""


@sensitive_variables()
async def pinned(parts: SplitResult, *, owner: str) -> Pinned:
    """Look up the host of a URL, and return how it is reached at that address.

    The arguments and errors are those of `resolve`.
    """
    address = await resolve(parts, owner=owner)
    port = port_of(parts)
    netloc = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    has_name = not is_address(parts.hostname or "")
    return Pinned(
        parts._replace(netloc=netloc).geturl(),
        {"Host": parts.netloc, "User-Agent": "a2a_app"},
        {"sni_hostname": parts.hostname} if has_name else {},
    )


def _check_allowed(host: str, port: int) -> None:
    current = conf.current()
    if _is_trusted(host):
        return
    if current.push_hosts:
        raise ForbiddenTargetError(gettext_noop("has a host that PUSH_HOSTS does not name"))
    if current.push_ports and port not in current.push_ports:
        raise ForbiddenTargetError(gettext_noop("has a port that PUSH_PORTS does not name"))


def _is_trusted(host: str) -> bool:
    """Tell whether PUSH_HOSTS has the host or, with a leading dot, a domain above it."""
    return any(
        host == name.lower() or (name.startswith(".") and host.endswith(name.lower()))
        for name in conf.current().push_hosts
    )
