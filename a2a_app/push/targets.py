"""Targets: the URLs that a webhook may have, and the addresses that are used (section 13.2).

A URL is checked when the webhook is registered, so that the client learns of a fault. It is checked
again at each delivery, with the address that is then used, since a name may have a new address.
"""

import asyncio
import ipaddress
import socket
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from a2a_app import conf

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"https": 443, "http": 80}
# Longer than any URL that servers in common use accept.
MAX_URL_CHARACTERS = 8_000
# What a resolver answers of a name that has no address; not every system has each of them. Whatever
# else goes wrong is no answer.
NO_ADDRESS = {
    getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
} - {None}
# IPv6 addresses that a gateway translates to IPv4 addresses.
TRANSLATED = [ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48")]


class TargetError(Exception):
    """This server does not send to the URL. The text says why, and is fit for clients."""


class UnresolvedError(TargetError):
    """The host's address could not be looked up. The next time it may be."""


def check_url(url: str) -> SplitResult:
    """Check a URL as far as that is possible without looking up its address.

    Returns:
        The parts of the URL, whose scheme and host may be used.

    Raises:
        TargetError: The URL must not be used.
    """
    parts = _parse(url)
    if parts.scheme == "http" and not conf.current().push_allow_http:
        raise TargetError("must begin with https")
    if parts.username is not None or parts.password is not None:
        raise TargetError("must not contain a user or password: use `authentication`")
    if parts.fragment:
        raise TargetError("must not have a fragment")
    host = parts.hostname or ""
    if not host.isascii():
        raise TargetError("must have its host in ASCII: `xn--…` for a name in another alphabet")
    if len(host) > 253 or not _is_allowed(host):
        raise TargetError("has a host that this server does not send to")
    return parts


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a number
    except ValueError:
        raise TargetError("is no URL") from None
    if any(character.isspace() or not character.isprintable() for character in url):
        raise TargetError("must not contain white space or control characters")
    if len(url) > MAX_URL_CHARACTERS:
        raise TargetError(f"must not be longer than {MAX_URL_CHARACTERS} characters")
    if parts.scheme not in PORTS or not parts.hostname:
        raise TargetError("must be an absolute https URL")
    return parts


async def resolve(parts: SplitResult) -> str:
    """Look up the host of a URL, and return an address that may be used.

    Raises:
        TargetError: The host has no address, or one of its addresses must not be used. The owner of
            the name could choose that one for the next connection.
        UnresolvedError: No resolver has answered, within PUSH_TIMEOUT_SECONDS.
    """
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(conf.current().push_timeout_seconds):
            results = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise TargetError("has a host whose address is not known") from None
    except OSError as error:  # a TimeoutError is one
        if error.errno in NO_ADDRESS:
            raise TargetError("has a host whose address is not known") from None
        raise UnresolvedError("has a host whose address could not be looked up") from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in results]
    if not _is_trusted(host):
        for address in addresses:
            if not _is_public(ipaddress.ip_address(address.partition("%")[0])):
                raise TargetError("has a host whose address is not public")
    return addresses[0]


def _is_allowed(host: str) -> bool:
    return _is_trusted(host) or not conf.current().push_hosts


def _is_trusted(host: str) -> bool:
    """Tell whether PUSH_HOSTS has the host or, with a leading dot, a domain above it."""
    return any(
        host == name.lower() or (name.startswith(".") and host.endswith(name.lower()))
        for name in conf.current().push_hosts
    )


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _is_public(inner)
        if address.teredo is not None or any(address in network for network in TRANSLATED):
            return False
    return address.is_global and not address.is_multicast
