"""Targets: which URLs a webhook may have, and which addresses are connected to (section 13.2).

A name is checked when it is registered, so that its client learns of it, and at each delivery on
the address that is then connected to, since a name may lead elsewhere the next time.
"""

import asyncio
import ipaddress
import socket
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from a2a_app import conf

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"https": 443, "http": 80}
# Ways to write an IPv4 address as an IPv6 one that a gateway translates back.
TRANSLATED = [ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48")]


class TargetError(Exception):
    """A webhook's URL is not one that this server sends to; the text is fit for clients."""


def check_url(url: str) -> SplitResult:
    """Check all of a URL that can be checked without asking for its address.

    Returns its parts, with a host and a scheme that may be used; raises TargetError.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        raise TargetError("is no URL") from None
    if any(character.isspace() or not character.isprintable() for character in url):
        raise TargetError("must not contain white space or control characters")
    if parts.scheme not in PORTS or not parts.hostname:
        raise TargetError("must be an absolute https URL")
    if parts.scheme == "http" and not conf.current().push_allow_http:
        raise TargetError("must begin with https")
    if parts.username is not None or parts.password is not None:
        raise TargetError("must not contain a user or password: use `authentication`")
    if parts.fragment:
        raise TargetError("must not have a fragment")
    if len(parts.hostname) > 253 or not _is_allowed(parts.hostname):
        raise TargetError("has a host that this server does not send to")
    return parts


async def resolve(parts: SplitResult) -> str:
    """Give an address of a URL's host that may be connected to; raises TargetError.

    One bad address among several spoils all of them: whoever controls the name may choose.
    """
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TargetError("has a host whose address is not known") from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not _is_trusted(host):
        for address in addresses:
            if not _is_public(ipaddress.ip_address(address.partition("%")[0])):
                raise TargetError("has a host whose address is not public")
    return addresses[0]


def _is_allowed(host: str) -> bool:
    return _is_trusted(host) or not conf.current().push_hosts


def _is_trusted(host: str) -> bool:
    """Tell whether the project names the host, or with a leading dot a domain above it."""
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
