"""BasicAuth: the authenticator that knows Django's users by their names and passwords."""

import hmac
import math
import re
import secrets
import threading
import time
from base64 import b64decode
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

from django.contrib.auth import authenticate, load_backend
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from a2a_app.authentication.guesses import Guesses
from a2a_app.operations.call import Grant
from a2a_app.protocol import HTTPAuthSecurityScheme, SecurityScheme, UnavailableError

# A password takes a core for half a second to check. More at once would only take longer each.
CHECKS_AT_ONCE = 2
# How long a request waits for its turn.
WAIT_SECONDS = 5.0
# How many callers are remembered, and for how long: for the next look at their open streams.
MAX_REMEMBERED = 10_000
STREAM_SECONDS = 24 * 60 * 60

# They are not allowed, and not every database takes them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_checks = threading.BoundedSemaphore(CHECKS_AT_ONCE)
# What is remembered means nothing to any other process, nor to this one once it has ended.
_SECRET = secrets.token_bytes(32)


class _SignedIn(NamedTuple):
    """A caller whose password was right."""

    user: Any
    """The user's primary key."""
    backend: str
    """The authentication backend that knew the password."""
    session_hash: str
    """What Django makes of the stored password, by which it ends sessions once that changes."""
    checked_at: float
    """When that was, by `time.monotonic`."""


class BasicAuth:
    """Authenticates by a user's name and password: `Authorization: Basic …` (RFC 7617).

    Django's authentication backends check them, as for its login page. A password that was right is
    not checked again for a while, but the user is read again for each request: one that is
    inactive, deleted, or has another password by now is refused. It blocks while it checks, and so
    is called in a thread.
    """

    ambient: ClassVar[bool] = True
    """Whether a browser may send the credentials with requests of other sites' pages too."""
    remember_seconds: ClassVar[float] = 60.0
    """For how long a password that was right is not checked again. 0: it is for each request."""
    guesses_per_user: ClassVar[int] = 20
    """How many passwords may be tried for one user in 15 minutes, from addresses from which the
    user has not signed in within a day. 0: no limit."""
    guesses_per_address: ClassVar[int] = 100
    """How many passwords may be tried from one address in 15 minutes. 0: no limit."""
    cache: ClassVar[str] = "default"
    """The alias in CACHES of the cache that counts them, for all processes that share it."""
    security_scheme = SecurityScheme(
        http_auth_security_scheme=HTTPAuthSecurityScheme(
            scheme="Basic", description="The name and the password of a user of this site."
        )
    )

    def __init__(self) -> None:
        """Remember nobody yet; raise ImproperlyConfigured where there is no such cache."""
        caches[self.cache]
        self._guesses = Guesses(self.cache, self.guesses_per_user, self.guesses_per_address)
        self._remembered = LocMemCache(
            f"a2a_app.{secrets.token_hex(8)}",
            {"TIMEOUT": STREAM_SECONDS, "OPTIONS": {"MAX_ENTRIES": MAX_REMEMBERED}},
        )

    @sensitive_variables()
    def __call__(self, request: HttpRequest) -> Grant | None:
        """Return the user whom the request names with the right password; None if there is none.

        Raises:
            TooManyGuessesError: Too many passwords were tried that were wrong.
            UnavailableError: So many passwords are being checked that this one has to wait.
        """
        named = credentials_of(request.META.get("HTTP_AUTHORIZATION", ""))
        if named is None:
            return None
        username, password = named
        known_by = _digest(username, password)
        user = self._recall(known_by, self.remember_seconds)
        if user is None:
            with _turn_to_check():
                # Of many requests at once the first has checked the password by now.
                user = self._recall(known_by, self.remember_seconds)
                user = user or self._check(request, username, password)
        return None if user is None else self._grant(user, known_by)

    def look_again(self, credentials: Collection[str]) -> dict[str, Grant]:
        """Return what callers with open streams may do now, by their credentials.

        Their passwords are not checked again, as in a session of Django's: see `_recall`.
        """
        found = {each: self._recall(each, math.inf) for each in credentials}
        return {each: self._grant(user, each) for each, user in found.items() if user is not None}

    def _grant(self, user: Any, known_by: str) -> Grant:
        # Without the credential the stream's password is checked again by each look at it.
        is_remembered = self._remembered.touch(known_by, STREAM_SECONDS)
        return Grant(user, credential=known_by if is_remembered else "")

    @sensitive_variables()
    def _check(self, request: HttpRequest, username: str, password: str) -> Any | None:
        address = request.META.get("REMOTE_ADDR") or ""
        self._guesses.count(username, address)
        user = authenticate(request, username=username, password=password)
        if user is not None:
            self._guesses.take_back(username, address)
            self._remember(_digest(username, password), user)
        return user

    def _remember(self, known_by: str, user: Any) -> None:
        # A model of the project's own may have no such hash. Then nothing tells of a new password.
        if session_hash := getattr(user, "get_session_auth_hash", str)():
            remembered = _SignedIn(user.pk, user.backend, session_hash, time.monotonic())
            self._remembered.set(known_by, remembered)

    def _recall(self, known_by: str, seconds: float) -> Any | None:
        """Return a user whose password was right within so many seconds, if it still is."""
        remembered = self._remembered.get(known_by)
        if remembered is None or time.monotonic() - remembered.checked_at >= seconds:
            return None
        user: Any = load_backend(remembered.backend).get_user(remembered.user)
        if user is None or not getattr(user, "is_active", True):
            return None
        unchanged = hmac.compare_digest(user.get_session_auth_hash(), remembered.session_hash)
        return user if unchanged else None


def credentials_of(header: str) -> tuple[str, str] | None:
    """Return the name and the password in a header `Authorization`; None if it has none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
    username, colon, password = text.partition(":")
    if not (username and colon) or _CONTROL.search(text):
        return None
    return username, password


@contextmanager
def _turn_to_check() -> Iterator[None]:
    if not _checks.acquire(timeout=WAIT_SECONDS):
        raise UnavailableError("Too many passwords are being checked at present.")
    try:
        yield
    finally:
        _checks.release()


def _digest(username: str, password: str) -> str:
    # No name has a colon.
    return hmac.digest(_SECRET, f"{username}:{password}".encode(), "sha256").hex()
