"""Addresses: which of them are public, and those of a host, looked up on threads of their own."""

import asyncio
import ipaddress
import os
import socket
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from a2a_app.concurrency.event_loop import PerLoop
from a2a_app.concurrency.shares import Shares
from a2a_app.concurrency.threads import Pool

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# How many names one process looks up at once. The system's resolver answers to threads that wait,
# and a name server that is silent holds each for as long as the system is patient.
LOOKUPS = 16

# All that is allotted to the public internet. What else looks global is reserved, or was once meant
# for a site: fec0::/10, ::/96, ::ffff:0:0:0/96, 5f00::/16.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# What IANA's registries of special addresses do not call globally reachable, or reserve for
# protocols and tunnels, and what `is_global` of some Python takes for public all the same.
_SPECIAL = [
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip  # one line for each version
# A gateway translates these to the IPv4 address at their end (RFC 6052). In a network without IPv4
# all hosts of the other kind have such an address.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
# The upper half of the interface identifiers that ISATAP makes, an IPv4 address in a site being
# the lower half (RFC 5214).
_ISATAP = {0x00005EFE, 0x02005EFE}


def is_public(address: str) -> bool:
    """Tell whether an address is globally reachable, as far as that can be seen from it."""
    # Without the zone, which names an interface of this machine.
    return _is_public(ipaddress.ip_address(address.partition("%")[0]))


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _TRANSLATED:
            return _is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST or int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
            return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def is_address(host: str) -> bool:
    """Tell whether a host is written as an address, and so needs no resolver."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A name that somebody waits for."""

    host: str
    port: int
    answer: "asyncio.Future[list[str]]"


class Lookups:
    """Looks up names for one event loop, and lets nobody's slow names keep another's waiting."""

    def __init__(self) -> None:
        self._shares: Shares[str] = Shares(LOOKUPS)
        self._waiting: dict[str, deque[_Wanted]] = {}
        # An event loop refers to its tasks weakly.
        self._tasks: set[asyncio.Task[None]] = set()

    async def addresses_of(self, host: str, port: int, *, owner: str) -> list[str]:
        """Return the addresses of a host, in the order in which they are to be tried.

        A caller that gives up has its place until the resolver has answered.

        Args:
            host: The host.
            port: The port to connect to.
            owner: Whose turn it is. Each owner has a share of the threads.

        Raises:
            OSError: The resolver has no address, or gives no answer.
            UnicodeError: The host cannot be a name.
        """
        if is_address(host):
            return [host]
        wanted = _Wanted(host, port, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(owner, deque()).append(wanted)
        self._start_next()
        return await wanted.answer

    def _start_next(self) -> None:
        """Start what there is room for, first for the owner that has the fewest under way."""
        while self._waiting:
            owner = min(self._waiting, key=self._shares.count)
            if not self._shares.has_room(owner):
                return
            names = self._waiting[owner]
            wanted = names.popleft()
            if not names:
                del self._waiting[owner]
            if not wanted.answer.done():  # else its caller has given up
                self._shares.take(owner)
                task = asyncio.create_task(self._look_up(wanted, owner))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _look_up(self, wanted: _Wanted, owner: str) -> None:
        look = partial(socket.getaddrinfo, wanted.host, wanted.port, type=socket.SOCK_STREAM)
        answer = wanted.answer
        try:
            found = await _threads.run(look)
            if not answer.done():
                answer.set_result([str(place[0]) for *_, place in found])
        except Exception as error:  # raised in the caller
            if not answer.done():
                answer.set_exception(error)
        finally:
            self._shares.give_back(owner)
            self._start_next()


def _new_pool() -> Pool:
    return Pool(LOOKUPS, name="a2a-names", at_end=lambda: None)


def _forget_threads() -> None:
    global _threads
    _threads = _new_pool()


# Not asyncio's own threads, which others need for files, and of which there are few.
_threads = _new_pool()
# A forked child has its parent's pool, and none of its threads.
os.register_at_fork(after_in_child=_forget_threads)
lookups = PerLoop(Lookups)
