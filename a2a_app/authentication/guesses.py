"""Guesses: how many passwords may be tried for one user, and from one address."""

import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address

from django.core.cache import BaseCache, caches

from a2a_app.concurrency.outages import Outage
from a2a_app.protocol import UnavailableError

# For how long a guess counts.
GUESS_SECONDS = 15 * 60
# For how long an address is known from which a user has signed in.
KNOWN_SECONDS = 24 * 60 * 60
# The part of an IPv6 address that one subscriber has.
PREFIX_OF_IPV6 = 64

logger = logging.getLogger(__name__)


class TooManyGuessesError(UnavailableError):
    """Too many wrong passwords were tried. Wait for 15 minutes."""

    http_status, grpc_status = 429, "RESOURCE_EXHAUSTED"
    retry_seconds = GUESS_SECONDS


class Guesses:
    """Counts passwords while they are checked, in one of Django's caches, and forgets right ones.

    They are counted before they are checked, so that many at once do not pass the limit. What
    others guess for a user does not keep that user out, at an address from which it has signed in.
    """

    def __init__(self, cache: str, per_user: int, per_address: int) -> None:
        """Count in the cache of this alias, with these limits; 0: none."""
        self._alias = cache
        self._per_user, self._per_address = per_user, per_address
        self._outage = Outage(logger, "The cache that counts passwords")

    def count(self, username: str, address: str) -> None:
        """Count a password that is tried.

        Args:
            username: The user for whom it is tried.
            address: The address from which it comes; empty if that is not known.

        Raises:
            TooManyGuessesError: It must not be tried.
            UnavailableError: The cache cannot count.
        """
        with self._counting() as cache:
            from_address = _add(cache, _of_address(address)) if address else 0
            if 0 < self._per_address < from_address:
                raise TooManyGuessesError
            for_user = _add(cache, _of_user(username))
            if 0 < self._per_user < for_user and not cache.get(_of_both(username, address)):
                raise TooManyGuessesError

    def take_back(self, username: str, address: str) -> None:
        """Take back a password that was right; raises UnavailableError as `count` does."""
        with self._counting() as cache:
            cache.set(_of_both(username, address), True, KNOWN_SECONDS)
            for key in (_of_user(username), _of_address(address)):
                with suppress(ValueError):  # nothing is counted any more
                    cache.decr(key)

    @contextmanager
    def _counting(self) -> Iterator[BaseCache]:
        """Yield the cache; where it fails, nobody is let in, since nobody counts."""
        try:
            yield caches[self._alias]
        except UnavailableError:
            raise
        except Exception as error:  # each cache has errors of its own
            self._outage.begin(error)
            raise UnavailableError("Passwords cannot be counted at present.") from None
        self._outage.end()


def _add(cache: BaseCache, key: str) -> int:
    if not cache.add(key, 1, GUESS_SECONDS):
        with suppress(ValueError):  # it has expired at this moment
            return int(cache.incr(key))
    return 1


def _of_user(username: str) -> str:
    # Backends may take these for the same name.
    return _key("user", unicodedata.normalize("NFKC", username).casefold())


def _of_address(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return _key("address", address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return _key("address", str(IPv6Network((int(parsed), PREFIX_OF_IPV6), strict=False)))
    return _key("address", str(getattr(parsed, "ipv4_mapped", parsed)))


def _of_both(username: str, address: str) -> str:
    return _key("both", f"{_of_user(username)} {_of_address(address)}")


def _key(kind: str, value: str) -> str:
    # A cache may not take every character, nor long keys.
    return f"a2a_app.guesses.{kind}.{sha256(value.encode()).hexdigest()}"
